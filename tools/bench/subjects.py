"""The servers that are compared: each starts in front of one engine and says which processes are the hop."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tools.bench.load import Api

TOKEN = "bench-token"  # noqa: S105 - of a server on loopback that lives for some seconds
READY_S = 60.0
OURS, UNKEPT, FLOOR = "ours", "ours, no journal", "aiohttp floor"


@dataclass(frozen=True)
class Hop:
    """A running server.

    Attributes:
        pid: of its first process; its children count too.
    """

    url: str
    pid: int
    api: Api = "openai"

    @property
    def pids(self) -> list[int]:
        """Its processes now."""
        found, queue = [], [self.pid]
        while queue:
            pid = queue.pop()
            found.append(pid)
            for thread in Path(f"/proc/{pid}/task").glob("*"):
                with suppress(OSError):
                    queue += [int(child) for child in (thread / "children").read_text().split()]
        return found

    def cpu_s(self) -> float:
        """User and system seconds of all its processes so far, to the scheduler's own nanoseconds."""
        total = 0
        for pid in self.pids:
            for thread in Path(f"/proc/{pid}/task").glob("*"):
                with suppress(OSError):
                    total += int((thread / "schedstat").read_text().split()[0])
        return total / 1e9

    def resident_bytes(self) -> int:
        """Memory of all its processes."""
        pages = 0
        for pid in self.pids:
            with suppress(OSError):
                pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def process(command: Sequence[str], folder: Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A process in a group of its own, killed whole at the end; what it says is in `folder`."""
    with (folder / "log").open("a") as log:
        started = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=folder,
            env={**os.environ, **environment},
            start_new_session=True,
        )
    try:
        yield started
    finally:
        with suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        started.communicate()


@contextmanager
def engine(folder: Path, *, tokens_per_s: float, burst: int) -> Iterator[int]:
    """The paced engine's port."""
    command = [sys.executable, "-m", "tools.bench.engine", "--tokens-per-s", str(tokens_per_s), "--burst", str(burst)]
    with process(command, folder, PYTHONPATH=str(Path.cwd())) as started:
        assert started.stdout is not None  # noqa: S101 - a pipe
        yield int(json.loads(started.stdout.readline())["port"])


def _until_listening(port: int, started: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and started.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"{started.args!r} did not come up; see its log")


@contextmanager
def ours(engine_port: int, folder: Path, *, keeps: bool = True) -> Iterator[Hop]:
    """The reference server, with all that it does: token, journal, queue, metrics, logs; `keeps` False = no journal."""
    replica = {"kind": "external", "url": f"http://127.0.0.1:{engine_port}", "model_name": "bench", "slots": 64}
    queue = {"capacity_interactive": 200_000, "capacity_batch": 200_000, "capacity_total": 400_000}
    settings = {"engine": "vllm", "replicas": [replica], "queue": queue}
    file = folder / "bench.yaml"
    file.write_text(
        json.dumps({"pools": [settings], "http": {"readers_per_task_max": 1000}, "retention": {"tasks_max": 100_000}})
    )
    command = [sys.executable, "-m", "reference_server", "serve", "--port", "0", "--config", str(file)]
    command += ["--state-dir", str(folder / "state")] if keeps else ["--ephemeral"]
    with process(command, folder, LLORCH_API_TOKEN=TOKEN, PYTHONPATH=str(Path.cwd())) as started:
        assert started.stdout is not None  # noqa: S101 - a pipe
        yield Hop(json.loads(started.stdout.readline())["url"], started.pid, "orchqueue")


@contextmanager
def floor(engine_port: int, folder: Path) -> Iterator[Hop]:
    """A bare aiohttp pass-through on uvloop."""
    port = free_port()
    command = [sys.executable, "-m", "tools.bench.floor", str(port), str(engine_port)]
    with process(command, folder, PYTHONPATH=str(Path.cwd())) as started:
        _until_listening(port, started)
        yield Hop(f"http://127.0.0.1:{port}", started.pid)


@contextmanager
def nginx(engine_port: int, folder: Path) -> Iterator[Hop]:
    """nginx with one worker and no buffering."""
    port = free_port()
    (folder / "nginx.conf").write_text(
        f"daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/log;\n"
        "events { worker_connections 20000; }\n"
        f"http {{ access_log off; server {{ listen 127.0.0.1:{port}; location / {{ proxy_buffering off; "
        f"proxy_http_version 1.1; proxy_pass http://127.0.0.1:{engine_port}; }} }} }}\n"
    )
    with process(["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")], folder) as started:
        _until_listening(port, started)
        yield Hop(f"http://127.0.0.1:{port}", started.pid)


def router(program: str) -> Callable[[int, Path], object]:
    """A subject that is one of the Rust routers, from its package."""

    @contextmanager
    def start(engine_port: int, folder: Path) -> Iterator[Hop]:
        port, other = free_port(), free_port()
        verb = ["launch"] if program.endswith("sglang-router") else []
        command = [program, *verb, "--host", "127.0.0.1", "--port", str(port), "--policy", "round_robin"]
        command += ["--worker-urls", f"http://127.0.0.1:{engine_port}", "--log-level", "error"]
        with process([*command, "--prometheus-port", str(other)], folder) as started:
            _until_listening(port, started)
            _until_serving(port)
            yield Hop(f"http://127.0.0.1:{port}", started.pid)

    return start


def _until_serving(port: int) -> None:
    """A router listens before it has found its workers healthy."""
    body = json.dumps({"model": "bench", "prompt": "a", "max_tokens": 1, "stream": True}).encode()
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        asked = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/completions", body, {"Content-Type": "application/json"}
        )
        with suppress(OSError), urllib.request.urlopen(asked, timeout=5) as answer:  # noqa: S310 - loopback
            if b"[DONE]" in answer.read():
                return
        time.sleep(0.1)
    raise RuntimeError("the router did not serve its worker; see its log")


def available() -> dict[str, Callable[[int, Path], object]]:
    """What can be compared here, by name; what is not installed is left out, and the report says so."""
    found: dict[str, Callable[[int, Path], object]] = {OURS: ours, UNKEPT: partial(ours, keeps=False), FLOOR: floor}
    if shutil.which("nginx"):
        found["nginx"] = nginx
    for name in ("vllm-router", "sglang-router"):
        if program := shutil.which(name):
            found[name] = router(program)
    return found

"""The server under test: a URL that was given, or a command that is started on a free port.

Readiness is one JSON line on standard output, `{"event": "ready", "url": …}`, or, where the port was given, that every
pool is ready or says why not; and then an answer to `GET /v1/capabilities`. A server of ours is always given a token,
so that authentication is on the path of everything.
"""

import json
import secrets
import shlex
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from harness import trust
from harness.history import parsed
from harness.outcome import NotApplicableError
from harness.process import DidNotStartError, Process

READY_MS = 60_000  # a preload of a small model on a busy machine
ANSWER_S = 5.0
STOP_MS = 15_000  # the reference server drains for 5 s by default

TOKEN_ENV = "LLORCH_API_TOKEN"  # noqa: S105 - the variable's name
CACHE_ENV = "LLAMA_ORCH_CACHE_DIR"

REFERENCE_SERVER = (sys.executable, "-m", "reference_server", "serve", "--port", "0")

Settings = Mapping[str, Any]


class CannotRunError(Exception):
    """There is no server to judge; the text says why and what to do."""


@dataclass(frozen=True)
class Target:
    """A server to speak to.

    Attributes:
        token: None = it wants none.
        process: None when it is not ours.
        settings: what it was started with, beyond its defaults.
    """

    url: str
    token: str | None
    process: Process | None = None
    settings: Settings | None = None

    def capabilities(self) -> Any:
        """`GET /v1/capabilities`, as JSON.

        Raises:
            CannotRunError: no answer, or not 200.
        """
        try:
            answer = self.get("/v1/capabilities")
        except httpx.HTTPError as error:
            raise CannotRunError(f"{self.url} does not answer: {error}. Is the server running?") from None
        if answer.status_code in (401, 403):
            raise CannotRunError(
                f"{self.url} refuses the token ({answer.status_code}): name the variable that holds it with --token-env"
            )
        found = parsed(answer.content)
        if answer.status_code != 200 or not isinstance(found, dict):
            raise CannotRunError(
                f"{self.url}/v1/capabilities answered {answer.status_code}: is it an OrchQueue server?"
            )
        return found

    def has_settled(self) -> bool:
        """Whether each pool is ready, or says why it is not; what a server answers before tells nothing of it.

        Raises:
            CannotRunError: as `capabilities`.
        """
        rows = self.capabilities().get("engines") or []
        return all(self._has_settled(pool_id) for pool_id in {row.get("pool_id", "default") for row in rows})

    def _has_settled(self, pool_id: str) -> bool:
        try:
            answer = self.get(f"/v1/pools/{pool_id}/health")
        except httpx.HTTPError:
            return False
        told = parsed(answer.content)
        is_told = answer.status_code == 200 and isinstance(told, dict)
        return not is_told or any(told.get(name) for name in ("ready", "draining", "last_error"))

    def get(self, path: str) -> httpx.Response:
        """Ask it for this path, with its token. Raises `httpx.HTTPError`."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return httpx.get(
            f"{self.url}{path}",
            headers=headers,
            timeout=ANSWER_S,
            trust_env=False,
            follow_redirects=False,
            verify=trust.tls(),
        )


class Servers:
    """Starts servers, one for each different configuration, and stops them all at the end.

    Args:
        command: `{config}` in it is replaced by the path of a configuration file; without it, settings cannot be given.
            `{port}` is replaced by a free port, and such a server is ready when its pools are, or say why not; without
            it, a server says its address in its ready line.
            Empty: servers cannot be started at all, because the one under test was given by its URL.
        replica: the replica that pools get: the real engine's address, or None for the embedded one.
        engine_pid: of that engine, where the harness has started it.
        folder: for configuration files and logs.
        wrap: what to speak to instead of a server's own address.
        around: the command to start instead of a server's own.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        folder: Path,
        replica: Settings | None = None,
        engine_pid: int | None = None,
        wrap: Callable[[str], str] = str,
        around: Callable[[Sequence[str]], Sequence[str]] = list,
    ) -> None:
        self.replica = replica
        self._engine_pid = engine_pid
        self._around = around
        self._wrap = wrap
        self._command = tuple(command)
        self._folder = folder
        self._started: dict[str, Target] = {}
        self._count = 0

    def default(self) -> Target:
        """The server as it comes, on the engine of this run."""
        return self.get(pool_settings({}, self.replica) if self.replica else {})

    def get(self, settings: Settings) -> Target:
        """A server with these settings, started at most once."""
        key = json.dumps(settings, sort_keys=True)
        target = self._started.get(key)
        if target is None or target.process is None or target.process.exit_code is not None:
            target = self._started[key] = self.start(settings)
        return target

    def start(
        self,
        settings: Settings,
        *,
        token: str | None = None,
        env: Mapping[str, str] | None = None,
        has_own_cache: bool = False,
    ) -> Target:
        """A new server with these settings, shared with nobody; still stopped at the end.

        Args:
            settings: the configuration file's content.
            has_own_cache: it fetches or looks for what is not there, and leaves the user's cache alone.
            token: None = a fresh one; empty = the server wants none.

        Raises:
            CannotRunError: it did not come up.
            NotApplicableError: the command takes no configuration.
        """
        if not self._command:
            raise NotApplicableError("needs a server of its own, with its own settings; this one was given by its URL")
        self._count += 1
        folder = self._folder / f"server-{self._count}"
        folder.mkdir(parents=True)
        token = secrets.token_urlsafe(24) if token is None else token
        port = _free_port()
        command = [part.replace("{port}", str(port)) for part in self._with_config(settings, folder)]
        cache = {CACHE_ENV: str(folder / "cache")} if has_own_cache else {}
        process = Process(self._around(command), folder=folder, env={TOKEN_ENV: token, **cache, **(env or {})})
        fixed = f"http://127.0.0.1:{port}" if any("{port}" in part for part in self._command) else None
        try:
            process.wait_ready(lambda: _address(process, fixed) is not None, deadline_ms=READY_MS)
            if fixed is not None:
                process.wait_ready(Target(url=fixed, token=token).has_settled, deadline_ms=READY_MS)
        except DidNotStartError as error:
            raise CannotRunError(f"the server did not start\n{error}") from None
        url = _address(process, fixed) or ""
        target = Target(url=self._wrap(url.rstrip("/")), token=token, process=process, settings=settings)
        self._started[f"#{self._count}"] = target
        target.capabilities()
        return target

    def pids(self, target: Target) -> tuple[int, ...]:
        """What the harness has started of a target: its server, and the engine."""
        found = (target.process.pid if target.process is not None else None, self._engine_pid)
        return tuple(pid for pid in found if pid is not None)

    def stop(self) -> None:
        """Stop everything that still runs."""
        processes = [target.process for target in self._started.values() if target.process is not None]
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(deadline_ms=STOP_MS)

    def _with_config(self, settings: Settings, folder: Path) -> list[str]:
        if self._command == REFERENCE_SERVER:
            state = ["--state-dir", str(folder / "state")]
            return [*self._command, *state, *(["--config", self._written(settings, folder)] if settings else [])]
        if not any("{config}" in part for part in self._command):
            if settings:
                raise NotApplicableError("the server's command takes no configuration: it has no {config} in it")
            return list(self._command)
        return [part.replace("{config}", self._written(settings, folder)) for part in self._command]

    @staticmethod
    def _written(settings: Settings, folder: Path) -> str:
        path = folder / "config.yaml"
        path.write_text(json.dumps(settings, indent=2), encoding="utf-8")  # JSON is YAML
        return str(path)


def pool_settings(pool: Settings, replica: Settings | None, **other: Any) -> Settings:
    """A configuration file with one pool.

    Args:
        pool: its settings, without replicas.
        replica: its one replica; None = the server's default. An `engine` in it is the pool's: its adapter.
        other: top-level settings.
    """
    if replica is None:
        return {"pools": [pool], **other}
    engine = {"engine": replica["engine"]} if "engine" in replica else {}
    own = {name: value for name, value in replica.items() if name != "engine"}
    return {"pools": [{**engine, **pool, "replicas": [own]}], **other}


def split(command: str) -> list[str]:
    """A command line as a list."""
    return shlex.split(command)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _address(process: Process, fixed: str | None) -> str | None:
    """Where a server answers; None while it does not."""
    if fixed is None:
        ready = ready_line(process)
        return str(ready["url"]) if ready is not None else None
    try:
        Target(url=fixed, token=None).get("/healthz")
    except httpx.HTTPError:
        return None
    return fixed


def ready_line(process: Process) -> dict[str, Any] | None:
    """What a server said of itself when it became ready; None before."""
    first, newline, _ = process.stdout.read_text(encoding="utf-8", errors="replace").partition("\n")
    line = parsed(first) if newline else None
    return line if isinstance(line, dict) and line.get("event") == "ready" and "url" in line else None

"""The real llama-server with a small real model, started for a run and stopped after it.

What is installed is asked of `python -m reference_server engines list --json`: the harness knows no cache folder.

Source: ORCH-3051, ORCH-3054.
"""

import hashlib
import json
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from harness.process import DidNotStartError, Process
from harness.target import CannotRunError, Settings

LIST = (sys.executable, "-m", "reference_server", "engines", "list", "--json")
LIST_S = 60.0
LOADING_MS = 120_000  # SmolLM2 takes 3 s when the machine is idle
STOP_MS = 5_000
ANSWER_S = 120.0
CTX = 2048
# One thread: two wait for each other in a spin lock, and where anything else runs on the same two cores 20 tokens were
# seen to take 44 s instead of 0.4 s.
THREADS = "1"

HOW_TO_INSTALL = "install it with: llama-orch engines install llamacpp --with-model"


@dataclass(frozen=True, slots=True)
class Installed:
    """What a run needs: the server's binary and the model's file."""

    binary: str
    model: str


def installed() -> Installed:
    """An installed llama-server and model, the last that are listed.

    Raises:
        CannotRunError: one is missing; the text says how to get it.
    """
    done = subprocess.run(LIST, capture_output=True, text=True, timeout=LIST_S, check=False)
    try:
        listed = json.loads(done.stdout)
        binaries = [entry["binary"] for entry in listed["engines"] if entry["engine"] == "llamacpp"]
        models = [entry["path"] for entry in listed["models"]]
    except (ValueError, KeyError, TypeError):
        raise CannotRunError(f"{' '.join(LIST)} failed: {done.stderr.strip() or done.stdout.strip()}") from None
    if not binaries:
        raise CannotRunError(f"no llama-server is installed; {HOW_TO_INSTALL}")
    if not models:
        raise CannotRunError(f"no model is installed; {HOW_TO_INSTALL}")
    return Installed(binaries[-1], models[-1])


class RealLlama:
    """One running llama-server with a single slot, set up for strict determinism."""

    def __init__(self, what: Installed, *, folder: Path) -> None:
        self.url = f"http://127.0.0.1:{_free_port()}"
        self.model = what.model
        port = self.url.rpartition(":")[2]
        self._process = Process(
            [
                *(what.binary, "-m", what.model, "--host", "127.0.0.1", "--port", port),
                *("--parallel", "1", "--no-cont-batching", "-c", str(CTX), "--metrics", "--slots", "-t", THREADS),
            ],
            folder=folder,
        )
        try:
            self._process.wait_ready(self._is_ready, deadline_ms=LOADING_MS)
        except DidNotStartError as error:
            raise CannotRunError(f"the engine did not start\n{error}") from None

    @property
    def replica(self) -> Settings:
        """How a server's configuration names this engine."""
        return {"kind": "external", "url": self.url, "model_file": self.model}

    def stop(self) -> None:
        """Stop it."""
        self._process.stop(deadline_ms=STOP_MS)

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", timeout=1.0, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False


def busy_slots(engine_url: str) -> int:
    """How many slots of a llama-server are at work now, by its own `/slots`."""
    slots = httpx.get(f"{engine_url}/slots", timeout=ANSWER_S, trust_env=False).raise_for_status().json()
    return sum(1 for slot in slots if slot["is_processing"])


@dataclass(frozen=True, slots=True)
class Properties:
    """What a llama-server says of itself.

    Attributes:
        model_digest: `sha256:…` of the file that it names, hashed here.
    """

    build: str
    model_digest: str


def properties(engine_url: str) -> Properties:
    """`GET /props`, and the digest of its model's file."""
    props = httpx.get(f"{engine_url}/props", timeout=ANSWER_S, trust_env=False).raise_for_status().json()
    with Path(props["model_path"]).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Properties(build=str(props["build_info"]), model_digest=f"sha256:{digest}")


def completion(engine_url: str, body: dict[str, Any]) -> str:
    """The text of a llama-server's own answer to `POST /completion`, past every orchestrator."""
    answer = httpx.post(f"{engine_url}/completion", json={**body, "stream": False}, timeout=ANSWER_S, trust_env=False)
    return str(answer.raise_for_status().json()["content"])


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])

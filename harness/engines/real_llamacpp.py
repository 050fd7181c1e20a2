"""The real llama-server with a small real model, started for a run and stopped after it.

Source: ORCH-3051, ORCH-3054.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from harness.engines.installed import installed_engine, listed
from harness.engines.real_engine import ANSWER_S, RealEngine, free_port
from harness.target import CannotRunError, Settings

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
    binary = installed_engine("llamacpp")["binary"]
    models = [str(entry["path"]) for entry in listed()["models"] if "path" in entry]
    if not models:
        raise CannotRunError(f"no model is installed; {HOW_TO_INSTALL}")
    return Installed(binary, models[-1])


class RealLlama(RealEngine):
    """One llama-server, set up for strict determinism.

    Args:
        args: further arguments, `--embeddings` for one.
    """

    name = "llamacpp"

    def __init__(self, what: Installed, *, folder: Path, args: tuple[str, ...] = ()) -> None:
        self.model = what.model
        port = free_port()
        super().__init__(
            [
                *(what.binary, "-m", what.model, "--host", "127.0.0.1", "--port", str(port)),
                *(
                    "--parallel",
                    "1",
                    "--no-cont-batching",
                    "-c",
                    str(CTX),
                    "--metrics",
                    "--slots",
                    "-t",
                    THREADS,
                    *args,
                ),
            ],
            url=f"http://127.0.0.1:{port}",
            folder=folder,
        )

    @property
    def replica(self) -> Settings:
        """With the file of its model, for the digest."""
        return {**super().replica, "model_file": self.model}

    def version(self) -> str:
        """From its properties."""
        return properties(self.url).build

    def running(self) -> int:
        """Busy slots."""
        return busy_slots(self.url)


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

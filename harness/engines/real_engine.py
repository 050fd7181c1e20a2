"""A real engine, started for a run and stopped after it, and what it says of itself past every orchestrator.

Source: ORCH-3051, OC-TEST-7010.
"""

import socket
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from harness.process import DidNotStartError, Process
from harness.target import CannotRunError, Settings

STOP_MS = 10_000
ANSWER_S = 120.0  # an engine on a busy CPU answers between two batches


class RealEngine(ABC):
    """One running engine with a single slot, set up so that equal requests give equal answers.

    Attributes:
        name: as pools name it.
        url: where its HTTP API is.
        process: the engine's own.
    """

    name = ""
    ready_path = "/health"
    loading_ms = 120_000

    def __init__(self, command: Sequence[str], *, url: str, folder: Path, env: Mapping[str, str] | None = None) -> None:
        self.url = url
        self.process = Process(command, folder=folder, env=env)
        try:
            self.process.wait_ready(self._is_ready, deadline_ms=self.loading_ms)
        except DidNotStartError as error:
            raise CannotRunError(f"the engine did not start\n{error}") from None

    @property
    def replica(self) -> Settings:
        """How a server's configuration names this engine; `engine` is its pool's (`harness.target.pool_settings`)."""
        return {"kind": "external", "url": self.url, "engine": self.name}

    @abstractmethod
    def version(self) -> str:
        """Its version, as it tells it itself."""

    @abstractmethod
    def running(self) -> int:
        """How many requests it works for now, as it tells it itself."""

    def stop(self) -> None:
        """Stop it."""
        self.process.stop(deadline_ms=STOP_MS)

    def kill(self) -> None:
        """Kill it, and all that it has started, without a word."""
        self.process.kill()

    def break_inside(self) -> str | None:
        """Make it send an error inside the stream that is open.

        Returns:
            Why it cannot be made to, or None where it was.
        """
        return "it has no error inside a stream that can be provoked"

    def get(self, path: str) -> Any:
        """The JSON that it answers."""
        return httpx.get(self.url + path, timeout=ANSWER_S, trust_env=False).raise_for_status().json()

    def _is_ready(self) -> bool:
        try:
            return httpx.get(self.url + self.ready_path, timeout=1.0, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False


def gauge(metrics_url: str, name: str, *labels: str) -> float:
    """The sum of a metric's samples that have these labels, as `key="value"`; 0 where there is none."""
    text = httpx.get(metrics_url, timeout=ANSWER_S, trust_env=False).raise_for_status().text
    lines = [line for line in text.splitlines() if line.startswith((f"{name}{{", f"{name} "))]
    return sum(float(line.rpartition(" ")[2]) for line in lines if all(label in line for label in labels))


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])

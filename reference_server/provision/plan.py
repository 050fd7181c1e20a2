"""What an install will do, before it is done: equal configuration on equal hosts gives an equal plan.

A plan is kept under the digest of its text, which also names it in the manifest of what came of it.

Source: ORCH-3203, ORCH-3206, ORCH-3207, ORCH-3208.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from reference_server.provision import cache

Mode = Literal["external", "source", "package", "container", "binary"]


@dataclass(frozen=True, slots=True)
class Input:
    """What comes from outside.

    Attributes:
        digest: that it has to have; None = a hash in a lock that is an input itself, or a version alone.
    """

    what: str
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One program that is run, as a list of arguments; never through a shell."""

    name: str
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What an install will do; equal plans have equal keys and give equal results.

    Attributes:
        version: of the engine; the digest's beginning where nobody has said it.
        key: names the folder in the cache.
        folder: where it will be.
        tools: that preflight asks for, before anything is fetched.
        inputs, steps: in order.
        disk_bytes: about what it takes while it is made.
        choices: what this host decided, in words.
    """

    engine: str
    mode: Mode
    version: str
    key: str
    folder: str
    tools: tuple[str, ...]
    inputs: tuple[Input, ...]
    steps: tuple[Step, ...]
    disk_bytes: int
    choices: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The plan as JSON, the same to the byte for equal plans."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"

    @property
    def id(self) -> str:
        """The digest of its text."""
        return "sha256:" + hashlib.sha256(self.text.encode()).hexdigest()

    def keep(self) -> Path:
        """Write it into the cache, under its digest."""
        path = cache.root() / "plans" / f"{self.id.removeprefix('sha256:')}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.text, encoding="utf-8")
        return path


def key_of(version: str, parts: Sequence[object]) -> str:
    """The version, and a short digest of all that decides what comes of it."""
    return f"{version}-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]}"


def folder_of(engine: str, key: str) -> Path:
    """Where an engine is, once it is here."""
    return cache.root() / "engines" / engine / key

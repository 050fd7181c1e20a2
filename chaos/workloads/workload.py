"""What a workload is: a pool of a certain shape, and errands for many clients. Plain values, drawn from one `Random`.

An errand is all that one client does with one task. What it depends on at run time (whether the task is accepted, where
its stream breaks) is the client's affair (`chaos.clients`); what it wants is decided here, before anything runs.
"""

import random
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

Then = Literal[
    "read", "leave", "come-back", "cancel", "cancel-at-once", "cancel-unread", "vanish", "dawdle", "twice", "go"
]
"""What follows an admission.

read             to the end
leave            after some tokens, for good
come-back        leave after some tokens, and go on after the last frame
cancel           after some tokens
cancel-at-once   before anything was read
cancel-unread    without ever opening a stream
vanish           by a reset, as soon as the stream was asked for
dawdle           read nothing for a while, then the rest
twice            the same request again, then read
go               nothing more: somebody else may read it
"""

NO_DEADLINE_MS = 24 * 3_600_000  # longer than any queue of a run
WORDS = ("rain", "slot", "naïve", "€", "水", "frog", "wire", "queue")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The shape of the server's one pool.

    Attributes:
        ctx: tokens per slot.
        token_ms: the engine's pause before each token, milliseconds.
        capacity: of each lane.
        budget_tokens: of each session; None = unlimited.
    """

    slots: int = 2
    ctx: int = 4096
    token_ms: float = 2.0
    capacity: int = 8
    policy: str = "reject"
    budget_tokens: int | None = None
    idle_ms: int = 4_000

    def settings(self, replica: dict[str, Any]) -> dict[str, Any]:
        """The configuration file of a server with this pool."""
        queue = {"capacity_interactive": self.capacity, "capacity_batch": self.capacity, "full_policy": self.policy}
        pool = {
            "replicas": [replica],
            "queue": queue,
            "watchdog": {"idle_ms": self.idle_ms, "wall_ms": 60_000, "stop_ms": 1_000},
            "reload_drain_ms": 2_000,
        }
        sessions = {"turns_max": 1_000_000, "budget": {"tokens": self.budget_tokens}}
        kept = {"tasks_max": 1_000_000, "bytes_max": 2**32}
        return {
            "experimental_cpu": True,
            "pools": [pool],
            "sessions": sessions,
            "retention": kept,
            "http": {"drain_ms": 0},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """One task, and what a client does with it.

    Attributes:
        body: of `POST /v1/tasks`, but for engine and model_ref, which the server tells.
        then: see `Then`.
        after: tokens, before it does that.
        pause_ms: before the errand.
        how: to leave.
    """

    body: dict[str, Any]
    then: Then
    after: int = 0
    pause_ms: int = 0
    how: Literal["close", "reset"] = "close"


Draw = Callable[[random.Random, int], Iterator[Errand]]
"""Endless errands of one client, by its number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A named load.

    Attributes:
        clients: how many at a time.
        draw: their errands.
    """

    name: str
    about: str
    pool: Pool
    clients: int
    draw: Draw


def body(
    rng: random.Random,
    *,
    tokens: int,
    priority: str = "batch",
    session: str | None = None,
    on_disconnect: str = "continue",
) -> dict[str, Any]:
    """A task whose prompt begins with its id, so that an engine can tell for whom it works."""
    task = new_id(rng)
    return {
        "task_id": task,
        "session_id": session or new_id(rng),
        "workload": "completion",
        "ctx": 4096,
        "priority": priority,
        "max_tokens": tokens,
        "deadline_ms": NO_DEADLINE_MS,
        "seed": rng.randrange(2**31),
        "on_disconnect": on_disconnect,
        "prompt": " ".join([task, *rng.choices(WORDS, k=rng.randint(1, 6))]),
    }


def new_id(rng: random.Random) -> str:
    """A UUIDv4 from the run's own randomness."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))

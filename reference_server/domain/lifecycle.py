"""The states of a replica, and the only ways between them.

    loading ──preloaded──▶ ready ──tripped──▶ tripped ──probed──▶ ready
       │  ▲                  │                   │
      lost └─restarted─┐    lost                lost
       └──────────▶ unready ◀────────────────────┘          any state ──unloaded──▶ loading (reload)

Rules:
1. Only a `ready` replica is given work (ORCH-3010).
2. `ready` is reached through a preload that succeeded (ORCH-3002), never directly from `unready`.
3. A replica that is lost gives up every lease: what ran on it has ended, and its slots are new after the next preload.
4. `tripped` is a replica whose engine answers with too many errors: what runs on it goes on, it is given nothing new,
   and one probe decides (OC-POOL-3014).

Source: ORCH-3001, ORCH-3002, ORCH-3010, ORCH-3031, ORCH-3038, OC-POOL-3001 … 3003, OC-POOL-3014.
"""

from typing import Literal

from reference_server.domain.errors import IllegalTransitionError

ReplicaState = Literal["loading", "ready", "tripped", "unready"]
ReplicaEvent = Literal["preloaded", "tripped", "probed", "lost", "restarted", "unloaded"]

TRANSITIONS: dict[tuple[ReplicaState, ReplicaEvent], ReplicaState] = {
    ("loading", "preloaded"): "ready",
    ("loading", "lost"): "unready",
    ("ready", "lost"): "unready",
    ("ready", "tripped"): "tripped",
    ("tripped", "probed"): "ready",
    ("tripped", "lost"): "unready",
    ("unready", "lost"): "unready",
    ("unready", "restarted"): "loading",
    ("loading", "unloaded"): "loading",
    ("ready", "unloaded"): "loading",
    ("tripped", "unloaded"): "loading",
    ("unready", "unloaded"): "loading",
}

KEEPS_LEASES: frozenset[ReplicaEvent] = frozenset({"preloaded", "tripped", "probed"})


def following(state: ReplicaState, event: ReplicaEvent) -> ReplicaState:
    """The state after `event`.

    Raises:
        IllegalTransitionError: the table has no such row.
    """
    if (state, event) not in TRANSITIONS:
        raise IllegalTransitionError(f"replica: {event} in state {state}")
    return TRANSITIONS[state, event]

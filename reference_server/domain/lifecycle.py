"""The states of a replica, and the only ways between them.

Rules:
1. Only a `ready` replica is given work (ORCH-3010).
2. `ready` is reached through a preload that succeeded (ORCH-3002), never directly from `unready`.
3. A replica that is lost gives up every lease: what ran on it has ended, and its slots are new after the next preload.

Source: ORCH-3001, ORCH-3002, ORCH-3010, OC-POOL-3001 … 3003.
"""

from typing import Literal

from reference_server.domain.errors import IllegalTransitionError

ReplicaState = Literal["loading", "ready", "unready"]
ReplicaEvent = Literal["preloaded", "lost", "restarted"]

TRANSITIONS: dict[tuple[ReplicaState, ReplicaEvent], ReplicaState] = {
    ("loading", "preloaded"): "ready",
    ("loading", "lost"): "unready",
    ("ready", "lost"): "unready",
    ("unready", "lost"): "unready",
    ("unready", "restarted"): "loading",
}


def following(state: ReplicaState, event: ReplicaEvent) -> ReplicaState:
    """The state after `event`.

    Raises:
        IllegalTransitionError: the table has no such row.
    """
    if (state, event) not in TRANSITIONS:
        raise IllegalTransitionError(f"replica: {event} in state {state}")
    return TRANSITIONS[state, event]

"""What a run will do, decided before it begins: which fault strikes when, and for how long. Follows from the seed."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from chaos.faults.fault import Kind

PAUSE_MS = (20, 500)  # between two blows: with the shortest one something begins, with the longest all runs again


@dataclass(frozen=True, slots=True)
class Planned:
    """One blow.

    Attributes:
        pause_ms: after the one before has healed.
        hold_ms: how long it lasts.
        seed: of its own randomness.
    """

    kind: Kind
    pause_ms: int
    hold_ms: int
    seed: str


def plan(seed: int, kinds: Sequence[Kind], *, duration_ms: int, blows: int | None) -> list[Planned]:
    """The blows of a run: every fault once, in an order of chance, then more by chance until the time is filled.

    Args:
        duration_ms: that pauses and blows take together, at least.
        blows: so many instead, however long they take.
    """
    if not kinds:
        return []
    rng = random.Random(f"{seed}/schedule")
    left = {kind.name: kind.blows_max for kind in kinds}
    first = rng.sample(list(kinds), len(kinds))
    planned: list[Planned] = []
    filled_ms = 0
    while first or (filled_ms < duration_ms if blows is None else len(planned) < blows):
        candidates = [kind for kind in kinds if left[kind.name]]
        if not first and not candidates:
            break
        kind = first.pop(0) if first else rng.choice(candidates)
        left[kind.name] -= 1
        one = Planned(kind, rng.randint(*PAUSE_MS), rng.randint(*kind.hold_ms), f"{seed}/blow/{len(planned)}")
        planned.append(one)
        filled_ms += one.pause_ms + one.hold_ms
    return planned

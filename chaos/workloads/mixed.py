"""Everything at once: both lanes, and readers of every temper."""

import random
from collections.abc import Iterator
from typing import Literal

from chaos.workloads.workload import Errand, Pool, Then, Workload, body

TEMPERS: tuple[tuple[Then, int], ...] = (
    ("read", 8),
    ("go", 2),
    ("leave", 2),
    ("come-back", 2),
    ("cancel", 3),
    ("cancel-at-once", 2),
    ("cancel-unread", 1),
    ("vanish", 2),
    ("dawdle", 1),
    ("twice", 1),
)


def draw(rng: random.Random, client: int) -> Iterator[Errand]:
    """Errands of all kinds."""
    del client
    tempers, weights = zip(*TEMPERS, strict=True)
    while True:
        (then,) = rng.choices(tempers, weights)
        made = body(
            rng,
            tokens=rng.randint(2, 40),
            priority=rng.choice(("interactive", "batch")),
            on_disconnect="cancel" if then == "vanish" and rng.random() < 0.7 else "continue",
        )
        how: Literal["close", "reset"] = "reset" if rng.random() < 0.5 else "close"
        yield Errand(body=made, then=then, after=rng.randint(0, 12), pause_ms=rng.randint(0, 60), how=how)


WORKLOAD = Workload(name="mixed", about=(__doc__ or "").strip(), pool=Pool(), clients=12, draw=draw)

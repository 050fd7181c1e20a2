"""Two lanes on one slot, both with something waiting: the order of service shows."""

import random
from collections.abc import Iterator

from chaos.workloads.workload import Errand, Pool, Then, Workload, body

THEN: tuple[Then, ...] = ("read", "go", "cancel-at-once")


def draw(rng: random.Random, client: int) -> Iterator[Errand]:
    """Three clients in four send batch."""
    priority = "interactive" if client % 4 == 0 else "batch"
    while True:
        then: Then = rng.choices(THEN, (6, 2, 1))[0]
        made = body(rng, tokens=rng.randint(4, 16), priority=priority)
        yield Errand(body=made, then=then, pause_ms=rng.randint(0, 30))


WORKLOAD = Workload(name="lanes", about=(__doc__ or "").strip(), pool=Pool(slots=1, capacity=10), clients=12, draw=draw)

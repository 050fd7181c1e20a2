"""More than fits, under drop-lru: whoever waited longest has to go, and is told."""

import random
from collections.abc import Iterator

from chaos.workloads.workload import Errand, Pool, Workload, body


def draw(rng: random.Random, client: int) -> Iterator[Errand]:
    """Clients that read what they sent, faster than one slot serves."""
    del client
    while True:
        made = body(rng, tokens=rng.randint(8, 24), priority=rng.choice(("interactive", "batch", "batch")))
        yield Errand(body=made, then=rng.choice(("read", "read", "go")), pause_ms=rng.randint(0, 20))


WORKLOAD = Workload(
    name="overflow",
    about=(__doc__ or "").strip(),
    pool=Pool(slots=1, capacity=4, policy="drop-lru"),
    clients=16,
    draw=draw,
)

"""Short batch tasks on one slot, hardly with a pause: at nearly every moment one waits and one runs."""

import random
from collections.abc import Iterator

from chaos.workloads.workload import Errand, Pool, Then, Workload, body

THEN: tuple[Then, ...] = ("go", "read", "cancel-unread")


def draw(rng: random.Random, client: int) -> Iterator[Errand]:
    """Mostly unread; each client reads some."""
    del client
    while True:
        then: Then = rng.choices(THEN, (6, 3, 1))[0]
        yield Errand(body=body(rng, tokens=rng.randint(2, 8)), then=then, pause_ms=rng.randint(10, 60))


WORKLOAD = Workload(
    name="steady", about=(__doc__ or "").strip(), pool=Pool(slots=1, capacity=64, token_ms=1.0), clients=4, draw=draw
)

"""Few sessions with budgets, shared by many clients: what they spend has to add up."""

import random
from collections.abc import Iterator

from chaos.workloads.workload import Errand, Pool, Then, Workload, body

THEN: tuple[Then, ...] = ("read", "cancel", "cancel-unread", "twice")

SESSIONS = tuple(f"00000000-0000-4000-8000-00000000000{number}" for number in range(6))


def draw(rng: random.Random, client: int) -> Iterator[Errand]:
    """Tasks of shared sessions; some are canceled, at every stage."""
    del client
    while True:
        made = body(rng, tokens=rng.randint(2, 24), session=rng.choice(SESSIONS))
        then: Then = rng.choices(THEN, (5, 2, 1, 1))[0]
        yield Errand(body=made, then=then, after=rng.randint(0, 6), pause_ms=rng.randint(0, 40))


WORKLOAD = Workload(
    name="budgets", about=(__doc__ or "").strip(), pool=Pool(budget_tokens=6_000, capacity=16), clients=8, draw=draw
)

"""One seed decides what a run will do."""

import random
from itertools import islice

import pytest

from chaos.clients import draw_errands
from chaos.faults.registry import FAULTS
from chaos.schedule import plan
from chaos.stage import Options, UsageError
from chaos.workloads.registry import WORKLOADS

KINDS = [FAULTS[name] for name in ("kill-server", "kill-engine", "flood")]


def shown(seed: int, *, duration_ms: int = 20_000, blows: int | None = None) -> list[tuple[str, int, int, str]]:
    """A plan as values."""
    planned = plan(seed, KINDS, duration_ms=duration_ms, blows=blows)
    return [(p.kind.name, p.pause_ms, p.hold_ms, p.seed) for p in planned]


@pytest.mark.req("OC-TEST-7051")
def test_the_same_seed_plans_the_same_blows_and_another_seed_others() -> None:
    assert shown(7) == shown(7)
    assert shown(7) != shown(8)


@pytest.mark.req("OC-TEST-7051")
@pytest.mark.parametrize("workload", WORKLOADS.values(), ids=WORKLOADS.keys())
def test_the_same_seed_draws_the_same_errands_and_every_client_its_own(workload: object) -> None:
    draw = getattr(workload, "draw")  # noqa: B009 - parametrized over a mapping's values

    def first(seed: int, client: int) -> list[object]:
        return list(islice(draw_errands(seed, client, draw), 20))

    assert first(7, 1) == first(7, 1)
    assert first(7, 1) != first(7, 2)
    assert first(7, 1) != first(8, 1)


@pytest.mark.req("OC-TEST-7050")
@pytest.mark.parametrize("seed", range(20))
def test_every_fault_is_planned_and_none_more_often_than_it_may_be(seed: int) -> None:
    names = [name for name, *_ in shown(seed)]

    assert {kind.name for kind in KINDS} == set(names)
    assert names.count("kill-engine") <= FAULTS["kill-engine"].blows_max


def test_blows_are_counted_instead_of_timed() -> None:
    assert 100 == len(shown(1, blows=100))
    assert 3 == len(shown(1, blows=1)), "every fault is tried once"


@pytest.mark.parametrize("name", FAULTS)
def test_the_fault_is_made_anew_for_each_blow(name: str) -> None:
    assert FAULTS[name].make() is not FAULTS[name].make()


def test_faults_that_need_different_engines_are_refused_together() -> None:
    kinds = (FAULTS["kill-engine"], FAULTS["cut@engine"])
    options = Options(seed=1, workload=WORKLOADS["mixed"], kinds=kinds, duration_ms=1)

    with pytest.raises(UsageError, match="kill-engine and cut@engine need different engines"):
        options.engine_kind  # noqa: B018 - raises


def test_ids_are_valid_and_follow_from_the_randomness() -> None:
    from chaos.workloads.workload import new_id

    assert new_id(random.Random(1)) == new_id(random.Random(1))
    assert "4" == new_id(random.Random(1))[14]

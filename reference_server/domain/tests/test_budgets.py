"""Budgets of a session: what is reserved, settled, refunded, and refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference_server.domain.budgets import Account, Amounts, Prices, Use
from reference_server.domain.core import Core
from reference_server.domain.errors import RefusedError
from reference_server.domain.frames import Finish
from reference_server.domain.retention import Retention
from reference_server.domain.sessions import Sessions
from reference_server.domain.tests.builders import FACTS, pool, request

SESSION = request().session_id


def core_with(budget: Amounts, prices: Prices | None = None) -> Core:
    """One Ready slot; each session has this budget."""
    of = pool()
    of.prices = prices or Prices()
    made = Core(
        [of],
        sessions=Sessions(ttl_ms=600_000, turns_max=100, sessions_max=10, budget=budget),
        retention=Retention(ttl_ms=600_000, tasks_max=100, bytes_max=1 << 30),
    )
    made.replica_preloaded("p", "r0", FACTS, 0)
    return made


def finish(of: Core, task_id: str, *, tokens_in: int, tokens_out: int, now_ms: int) -> None:
    finish = Finish(finish_reason="stop", tokens_in=tokens_in, tokens_out=tokens_out, kv_warm=False)
    of.pools["p"].replicas["r0"].release(task_id)
    task = of.task(task_id)
    assert task is not None
    task.transcript.append_tokens(["x"] * tokens_out)
    of.finish(task_id, finish, now_ms)


@pytest.mark.req("ORCH-3099", "OC-CORE-1034")
def test_what_a_task_may_use_is_set_aside_and_what_it_did_not_use_comes_back() -> None:
    subject = core_with(Amounts(tokens=100))
    subject.submit(request("a", max_tokens=50), tokens_in=10, now_ms=0)

    assert 40 == subject.sessions.remaining(SESSION).tokens
    finish(subject, "a", tokens_in=10, tokens_out=5, now_ms=9)
    assert 85 == subject.sessions.remaining(SESSION).tokens


@pytest.mark.req("OC-CORE-1023")
def test_tasks_in_parallel_cannot_overdraw_together() -> None:
    subject = core_with(Amounts(tokens=100))
    subject.submit(request("a", max_tokens=50), tokens_in=10, now_ms=0)
    with pytest.raises(RefusedError) as refused:
        subject.submit(request("b", max_tokens=50), tokens_in=10, now_ms=1)

    failure = refused.value.failure
    assert ("ADMISSION_REJECT", "budget-tokens", True) == (failure.code, failure.policy_label, failure.retriable)
    assert 599_999 == failure.retry_after_ms
    assert subject.task("b") is None


@pytest.mark.req("ORCH-3099")
def test_a_canceled_task_that_never_ran_costs_nothing() -> None:
    subject = core_with(Amounts(tokens=200, cost=10.0), Prices(out_per_1k=1.0))
    subject.submit(request("a", max_tokens=50), tokens_in=10, now_ms=0)
    before = subject.sessions.remaining(SESSION)
    subject.submit(request("b", max_tokens=50), tokens_in=10, now_ms=0)
    subject.cancel("b", "client", 5)

    assert before == subject.sessions.remaining(SESSION)


@pytest.mark.req("ORCH-3099")
def test_a_canceled_task_that_ran_costs_its_prompt_and_what_it_gave() -> None:
    subject = core_with(Amounts(tokens=100, time_ms=10_000))
    task = subject.submit(request("a", max_tokens=50), tokens_in=10, now_ms=0)
    task.transcript.append_tokens(["x"] * 7)
    subject.cancel("a", "client", 300)

    assert Amounts(tokens=83, time_ms=9_700) == subject.sessions.remaining(SESSION)


@pytest.mark.req("ORCH-3100", "OC-CORE-1024", "OC-METRICS-7111")
def test_metrics_frames_show_what_is_left_of_the_budgets_there_are() -> None:
    subject = core_with(Amounts(tokens=100, cost=1.0), Prices(in_per_1k=1.0, out_per_1k=10.0))
    task = subject.submit(request("a", max_tokens=50), tokens_in=10, now_ms=0)
    frames = [frame for frame in task.transcript.since(0, 9) if frame[0] == "metrics"]

    assert [{"tokens_budget_remaining": 40, "cost_budget_remaining": pytest.approx(0.49)}] == [
        {name: value for name, value in frame[1].items() if "budget" in name}  # type: ignore[union-attr]
        for frame in frames
    ]


@pytest.mark.req("OC-CORE-1023")
@pytest.mark.parametrize(
    ("budget", "label"),
    [
        (Amounts(tokens=59), "budget-tokens"),
        (Amounts(cost=0.05), "budget-cost"),
        (Amounts(time_ms=0), "budget-time"),
    ],
)
def test_each_budget_refuses_for_itself(budget: Amounts, label: str) -> None:
    subject = core_with(budget, Prices(out_per_1k=2.0))
    subject.pools["p"].times.observe(first_token_ms=5, decode_ms=100, tokens_out=10, max_tokens=10)
    with pytest.raises(RefusedError) as refused:
        subject.submit(request("a", max_tokens=50), tokens_in=10, now_ms=0)

    assert label == refused.value.failure.policy_label


def test_a_session_without_budgets_shows_none() -> None:
    subject = core_with(Amounts())
    subject.submit(request("a", max_tokens=50), tokens_in=10, now_ms=0)

    assert Amounts() == subject.sessions.remaining(SESSION)


@pytest.mark.req("OC-CORE-1023")
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=20), st.integers(0, 200))
def test_reservations_never_exceed_the_budget_and_all_of_them_come_back(
    tasks: list[tuple[int, int]], limit: int
) -> None:
    account = Account(Amounts(tokens=limit))
    admitted: dict[str, int] = {}
    for number, (most, used) in enumerate(tasks):
        if account.lacking(Use(tokens=most)) is None:
            account.reserve(str(number), Use(tokens=most))
            admitted[str(number)] = min(most, used)
        assert sum(use.tokens for use in account.reserved.values()) <= limit
    for task_id, used in admitted.items():
        account.settle(task_id, Use(tokens=used))
        account.settle(task_id, Use(tokens=used))

    assert limit - sum(admitted.values()) == account.remaining().tokens


@pytest.mark.req("OC-CORE-1023", "OC-CORE-1024")
def test_a_budget_may_be_used_up_to_its_last_unit_and_never_shows_less_than_nothing() -> None:
    account = Account(Amounts(tokens=10, time_ms=20, cost=3.0))
    assert account.lacking(Use(tokens=10, time_ms=20, cost=3.0)) is None
    assert ["tokens", "time", "cost"] == [
        account.lacking(use) for use in (Use(tokens=11), Use(time_ms=21), Use(cost=3.5))
    ]

    account.reserve("t", Use())
    account.settle("t", Use(tokens=11, time_ms=21, cost=3.5))
    assert Amounts(tokens=0, time_ms=0, cost=0.0) == account.remaining()

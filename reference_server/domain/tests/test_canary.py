"""Which tasks go to a canary, and that none does once it takes no work."""

import math
from dataclasses import replace

import pytest

from reference_server.domain.canary import Canary, place_of
from reference_server.domain.catalog import Entry, Model
from reference_server.domain.core import Core
from reference_server.domain.effects import TaskFinished
from reference_server.domain.faults import Fault
from reference_server.domain.frames import Finish
from reference_server.domain.replica import Replica
from reference_server.domain.retention import Retention
from reference_server.domain.sessions import Sessions
from reference_server.domain.task import TaskRequest
from reference_server.domain.tests.builders import FACTS, pool, request

SESSIONS = [f"00000000-0000-4000-8000-{number:012d}" for number in range(10_000)]
FOUR_SIGMA = 4.0  # one draw in 16,000 is outside; the sessions are fixed, so that the outcome is too


def two_pools(canary: Canary) -> Core:
    """`p`, and `q` with another model as its canary, both Ready."""
    stable, trial = pool(), pool()
    stable.canary = canary
    trial.id, trial.model_ref, trial.replicas = "q", "m2", {"q0": Replica("q0")}
    subject = Core(
        [stable, trial],
        sessions=Sessions(ttl_ms=600_000, turns_max=100, sessions_max=100),
        retention=Retention(ttl_ms=600_000, tasks_max=100, bytes_max=1 << 20),
    )
    for pool_id, replica_id in (("p", "r0"), ("q", "q0")):
        subject.replica_preloaded(pool_id, replica_id, FACTS, 0)
    return subject


def goes_to(subject: Core, asked: TaskRequest | None = None) -> str:
    return subject.route(asked or request(), 0).id


@pytest.mark.req("ORCH-3033", "OC-POOL-3018")
@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
def test_the_share_of_sessions_is_the_one_asked_for(share: float) -> None:
    canary = Canary(pool_id="q", share=share)

    drawn = sum(canary.draws(request(session_id=session_id)) for session_id in SESSIONS)

    expected, sigma = len(SESSIONS) * share, (len(SESSIONS) * share * (1 - share)) ** 0.5
    assert abs(drawn - expected) <= FOUR_SIGMA * sigma


@pytest.mark.req("ORCH-3033", "OC-POOL-3018")
@pytest.mark.parametrize(("share", "drawn"), [(0.0, set()), (1.0, set(SESSIONS))])
def test_a_share_of_nothing_draws_none_and_one_of_everything_draws_all(share: float, drawn: set[str]) -> None:
    canary = Canary(pool_id="q", share=share)

    assert drawn == {s for s in SESSIONS if canary.draws(request(session_id=s))}


@pytest.mark.req("ORCH-3033", "OC-POOL-3018")
def test_a_session_stays_on_its_side_whatever_else_its_tasks_ask_and_while_the_share_grows() -> None:
    small, large = Canary(pool_id="q", share=0.1), Canary(pool_id="q", share=0.2)
    drawn = [s for s in SESSIONS[:1_000] if small.draws(request("a", session_id=s))]

    assert drawn == [s for s in SESSIONS[:1_000] if small.draws(request("b", "batch", session_id=s, prompt="else"))]
    assert all(large.draws(request(session_id=s)) for s in drawn)


@pytest.mark.req("OC-POOL-3018")
def test_a_session_at_the_end_of_the_share_is_outside_it() -> None:
    end = place_of(SESSIONS[0], "q")

    assert not Canary(pool_id="q", share=end).draws(request(session_id=SESSIONS[0]))
    assert Canary(pool_id="q", share=math.nextafter(end, 1)).draws(request(session_id=SESSIONS[0]))


@pytest.mark.req("OC-POOL-3018")
def test_where_a_session_stands_holds_over_versions_and_differs_between_canaries() -> None:
    draws = {
        pool_id: "".join("01"[Canary(pool_id=pool_id, share=0.5).draws(request(session_id=s))] for s in SESSIONS[:16])
        for pool_id in ("q", "z")
    }

    assert {"q": "0000010000100101", "z": "0001010100011011"} == draws


@pytest.mark.req("ORCH-3033", "OC-POOL-3018")
@pytest.mark.parametrize(
    ("canary_label", "label", "pool_id"),
    [("new", "new", "q"), ("new", "newer", "p"), ("new", None, "p"), (None, None, "p"), (None, "new", "p")],
)
def test_a_label_takes_a_task_to_the_canary(canary_label: str | None, label: str | None, pool_id: str) -> None:
    subject = two_pools(Canary(pool_id="q", label=canary_label))

    task = subject.submit(replace(request(), label=label), tokens_in=1, now_ms=0)

    assert (pool_id, "running") == (task.pool_id, task.state)


@pytest.mark.req("ORCH-3033", "ORCH-3007")
def test_who_names_the_model_of_the_canary_gets_it_and_no_session_is_drawn_back() -> None:
    subject = two_pools(Canary(pool_id="q"))

    assert ("p", "q") == (goes_to(subject), goes_to(subject, replace(request(), model_ref="m2")))


@pytest.mark.req("ORCH-3033", "OC-POOL-3018")
def test_a_drained_canary_gets_nothing_more_and_loses_nothing() -> None:
    subject = two_pools(Canary(pool_id="q", share=1.0))
    runs, waits = (subject.submit(request(name), tokens_in=1, now_ms=0) for name in "ab")
    subject.take_effects()

    subject.drain("q", deadline_ms=60_000, now_ms=1)

    assert "p" == subject.submit(request("c"), tokens_in=1, now_ms=1).pool_id
    for task, now_ms in ((runs, 2), (waits, 3)):
        subject.finish(task.id, Finish(finish_reason="length", tokens_in=1, tokens_out=1, kv_warm=False), now_ms)
        subject.release(task, now_ms)
    ended = [effect.task for effect in subject.take_effects() if isinstance(effect, TaskFinished)]
    assert [("q", "ended"), ("q", "ended")] == [(task.pool_id, task.state) for task in ended]


@pytest.mark.req("ORCH-3033", "OC-POOL-3018")
def test_a_canary_that_is_down_or_cannot_serve_a_task_leaves_it_to_its_pool() -> None:
    subject = two_pools(Canary(pool_id="q", share=1.0))
    subject.pools["q"].sampler_profile_version = "v2"

    assert ("q", "p") == (goes_to(subject), goes_to(subject, request(sampler_profile_version="v1")))
    subject.replica_lost("q", "q0", Fault("crashed", "gone"), 0, jitter=0.0)
    assert "p" == goes_to(subject)


@pytest.mark.req("ORCH-3033", "ORCH-3070")
def test_a_canary_whose_model_is_retired_leaves_new_sessions_to_their_pool() -> None:
    subject = two_pools(Canary(pool_id="q", share=1.0))
    subject.submit(request("a", session_id="old"), tokens_in=1, now_ms=0)
    model = Model(Entry(id="c", digest="sha256:00", body=b"{}", source_url="m2"))
    subject.catalog.restore(model)
    subject.set_model_state(model, "Retired", deadline_ms=60_000, now_ms=0)

    assert ("q", "p") == tuple(goes_to(subject, request(session_id=name)) for name in ("old", "new"))


@pytest.mark.req("ORCH-3033", "ORCH-3070")
def test_a_session_stays_on_a_retired_canary_until_its_time_is_up() -> None:
    subject = two_pools(Canary(pool_id="q", share=1.0))
    subject.submit(request("a", session_id="old"), tokens_in=1, now_ms=0)
    model = Model(Entry(id="c", digest="sha256:00", body=b"{}", source_url="m2"))
    subject.catalog.restore(model)
    subject.set_model_state(model, "Retired", deadline_ms=60_000, now_ms=0)

    over_ms = model.unload_at_ms or 0
    asked = [(over_ms - 1, request("b", session_id="old")), (over_ms, request("c", session_id="old"))]
    assert ["q", "p"] == [subject.submit(one, tokens_in=1, now_ms=now_ms).pool_id for now_ms, one in asked]

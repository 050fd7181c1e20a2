"""The task's state machine: every row of the table, and every row that is not in it."""

import itertools

import pytest

from reference_server.domain.errors import IllegalTransitionError
from reference_server.domain.task import TERMINAL_STATES, TRANSITIONS, Event, State, Task, seed_of
from reference_server.domain.tests import builders

STATES: tuple[State, ...] = ("queued", "running", "ended", "failed", "canceled")
EVENTS: tuple[Event, ...] = ("dispatch", "finish", "fail", "cancel")
ILLEGAL = [pair for pair in itertools.product(STATES, EVENTS) if pair not in TRANSITIONS]


def task(state: State) -> Task:
    return Task(request=builders.request(), pool_id="p", admitted_ms=0, state=state)


@pytest.mark.req("OC-CORE-1016")
@pytest.mark.parametrize(("state", "event"), ILLEGAL)
def test_an_illegal_event_raises_and_changes_nothing(state: State, event: Event) -> None:
    subject = task(state)

    with pytest.raises(IllegalTransitionError, match=f"task t1: {event} in state {state}"):
        subject.advance(event)
    assert state == subject.state


@pytest.mark.req("ORCH-3017")
@pytest.mark.parametrize(("state", "event"), list(TRANSITIONS))
def test_a_legal_event_leads_where_the_table_says(state: State, event: Event) -> None:
    subject = task(state)

    subject.advance(event)

    assert TRANSITIONS[state, event] == subject.state


@pytest.mark.req("OC-CORE-1016")
def test_nothing_leads_out_of_a_terminal_state() -> None:
    assert not [pair for pair in TRANSITIONS if pair[0] in TERMINAL_STATES]


@pytest.mark.req("OC-CORE-1033")
def test_a_seed_follows_from_the_task_id_alone() -> None:
    seeds = {seed_of(f"task-{n}") for n in range(1_000)}

    assert 1_000 == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert 6113547254018825335 == seed_of("7b6a8c1e-6f0f-4f6e-9d58-4c1c1b1f4a10")  # pinned: a change breaks replays

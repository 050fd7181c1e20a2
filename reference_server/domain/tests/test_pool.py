"""Leases and replica states: one release a lease, no state but by the table."""

import itertools

import pytest

from reference_server.domain.errors import IllegalTransitionError
from reference_server.domain.faults import Fault
from reference_server.domain.lifecycle import TRANSITIONS, ReplicaEvent, ReplicaState, following
from reference_server.domain.replica import LeaseError, Replica
from reference_server.domain.tests.builders import FACTS

STATES: tuple[ReplicaState, ...] = ("loading", "ready", "unready")
EVENTS: tuple[ReplicaEvent, ...] = ("preloaded", "lost", "restarted")


@pytest.mark.req("ORCH-3002")
@pytest.mark.parametrize(
    ("state", "event"), [pair for pair in itertools.product(STATES, EVENTS) if pair not in TRANSITIONS]
)
def test_an_illegal_event_raises(state: ReplicaState, event: ReplicaEvent) -> None:
    with pytest.raises(IllegalTransitionError):
        following(state, event)


@pytest.mark.req("OC-CORE-1014")
def test_a_lease_is_released_once() -> None:
    replica = Replica("r")
    replica.take("preloaded", facts=FACTS)
    replica.lease("t")
    replica.release("t")

    with pytest.raises(LeaseError):
        replica.release("t")


@pytest.mark.req("ORCH-3010", "OC-CORE-1014")
def test_a_full_or_unready_replica_leases_nothing() -> None:
    replica = Replica("r")
    with pytest.raises(LeaseError):
        replica.lease("t")
    replica.take("preloaded", facts=FACTS)
    replica.lease("t")

    with pytest.raises(LeaseError):
        replica.lease("u")


@pytest.mark.req("OC-POOL-3003")
def test_a_lost_replica_holds_no_lease_and_keeps_its_error_until_the_next_preload() -> None:
    replica = Replica("r")
    replica.take("preloaded", facts=FACTS)
    replica.lease("t")
    replica.take("lost", fault=Fault("crashed", "died"))

    assert (False, "died") == (replica.holds("t"), replica.last_error)
    replica.take("restarted")
    replica.take("preloaded", facts=FACTS)
    assert replica.last_error is None

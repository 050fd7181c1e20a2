"""What is kept for later is bounded."""

import pytest

from reference_server.domain.deadlines import SLACK, Deadlines
from reference_server.domain.retention import Retention


@pytest.mark.req("OC-CORE-1009")
@pytest.mark.parametrize(
    ("tasks_max", "bytes_max"), [pytest.param(2, 10**6, id="count"), pytest.param(100, 25, id="bytes")]
)
def test_the_oldest_ended_tasks_go_first(tasks_max: int, bytes_max: int) -> None:
    subject = Retention(ttl_ms=1_000, tasks_max=tasks_max, bytes_max=bytes_max)
    for name in "abc":
        subject.ended(name, size=10, now_ms=0)

    assert ["a"] == subject.expired(1)
    assert ["b", "c"] == subject.expired(1_000)


@pytest.mark.req("OC-CORE-1008")
def test_deadlines_that_no_longer_matter_do_not_pile_up() -> None:
    subject = Deadlines()
    for n in range(10 * SLACK):
        subject.add(10**15 + n, f"t{n}")
        subject.keep(lambda task_id: task_id == "t5", expected=1)

    assert len(subject) <= SLACK + 3
    assert ["t5"] == [task_id for task_id in subject.due(10**16) if task_id == "t5"]


@pytest.mark.req("OC-CORE-1009")
def test_what_is_gone_makes_room() -> None:
    subject = Retention(ttl_ms=1_000, tasks_max=100, bytes_max=20)
    for name in "abcd":
        subject.ended(name, size=10, now_ms=0)
        assert ([] if name in "ab" else [chr(ord(name) - 2)]) == subject.expired(0)

    assert 2 == len(subject)


@pytest.mark.req("OC-CORE-1009")
def test_new_limits_hold_for_what_has_ended() -> None:
    subject = Retention(ttl_ms=1_000, tasks_max=100, bytes_max=1_000)
    for name in "abc":
        subject.ended(name, size=10, now_ms=0)
    subject.limit(ttl_ms=3_000, tasks_max=2, bytes_max=1_000)

    assert ["a"] == subject.expired(2_999)
    subject.limit(ttl_ms=2_000, tasks_max=2, bytes_max=10)
    assert ["b"] == subject.expired(1_999)
    subject.ended("d", size=1, now_ms=1_999)
    assert ["c"] == subject.expired(2_000)
    assert ["d"] == subject.expired(3_999)


@pytest.mark.req("OC-CORE-1009")
def test_a_longer_retention_holds_from_the_end_of_each_task() -> None:
    subject = Retention(ttl_ms=1_000, tasks_max=100, bytes_max=1_000)
    subject.ended("a", size=10, now_ms=5)
    subject.limit(ttl_ms=3_000, tasks_max=100, bytes_max=1_000)

    assert ([], ["a"]) == (subject.expired(3_004), subject.expired(3_005))


@pytest.mark.req("OC-CORE-1008")
def test_deadlines_are_cleaned_once_most_of_them_are_stale() -> None:
    subject = Deadlines()
    for n in range(SLACK + 10):
        subject.add(n, f"t{n}")
    subject.keep(lambda _: False, expected=5)
    assert SLACK + 10 == len(subject)

    subject.add(0, "one more")
    subject.keep(lambda task_id: task_id == "one more", expected=5)
    assert ["one more"] == subject.due(10**6)

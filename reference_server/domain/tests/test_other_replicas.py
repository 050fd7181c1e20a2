"""A task whose engine answers with an error before its first token: who tries it next, and when it is over."""

import pytest

from reference_server.domain.core import Core
from reference_server.domain.effects import StartDecode
from reference_server.domain.errors import Failure
from reference_server.domain.faults import Fault
from reference_server.domain.task import Priority, Task
from reference_server.domain.tests.builders import core, pool, request

FAILED = Failure(code="REPLICA_EXHAUSTED", message="500", retriable=True)


def starts(subject: Core) -> list[tuple[str, str | None]]:
    """What was started since the last look, and where."""
    return [(e.task.id, e.task.replica_id) for e in subject.take_effects() if isinstance(e, StartDecode)]


def two_replicas() -> Core:
    return core(pool(replicas=2))


def submit(subject: Core, name: str, priority: Priority = "interactive", *, deadline_ms: int = 60_000) -> Task:
    asked = request(name, priority, session_id=name, deadline_ms=deadline_ms)
    return subject.submit(asked, tokens_in=1, now_ms=0)


def fail(subject: Core, task: Task) -> None:
    """The engine answers with an error."""
    assert subject.can_go_on(task)
    subject.release(task, 1, failed=FAILED)


@pytest.mark.req("OC-CORE-1018", "OC-CORE-1019")
def test_it_goes_to_the_other_replica_and_has_one_started_frame() -> None:
    subject = two_replicas()
    task = submit(subject, "a")
    fail(subject, task)

    assert [("a", "r1")] == starts(subject)[-1:]
    frames = [(f.event, f.data.get("replica_id")) for f in task.transcript.since(0, 9) if not isinstance(f, str)]
    assert [("started", "r0"), ("metrics", None), ("metrics", "r1")] == frames


@pytest.mark.req("OC-CORE-1018")
def test_it_waits_for_a_replica_that_is_busy_and_goes_before_all_others() -> None:
    """Its own replica takes what waits meanwhile."""
    subject = two_replicas()
    task, busy = submit(subject, "a"), submit(subject, "b")
    submit(subject, "c")
    submit(subject, "d")
    starts(subject)

    fail(subject, task)
    assert ([("c", "r0")], "queued") == (starts(subject), task.state)
    subject.cancel("b", "client", 2)
    subject.release(busy, 2)
    assert [("a", "r1")] == starts(subject)


@pytest.mark.req("OC-CORE-1018", "ORCH-2006")
def test_it_ends_once_every_replica_has_failed_it() -> None:
    subject = two_replicas()
    task = submit(subject, "a")
    fail(subject, task)

    assert not subject.can_go_on(task)


@pytest.mark.req("OC-CORE-1018", "ORCH-2006")
def test_it_ends_when_the_replica_that_it_waits_for_is_lost() -> None:
    subject = two_replicas()
    task = submit(subject, "a")
    submit(subject, "b")
    fail(subject, task)
    subject.replica_lost("p", "r1", Fault("lost", "died"), 2, jitter=0.5)

    assert ("failed", FAILED) == (task.state, task.failure)


@pytest.mark.req("OC-CORE-1018", "OC-CORE-1052")
@pytest.mark.parametrize("has_begun", [True, False])
def test_a_task_that_has_a_token_or_an_end_goes_nowhere(has_begun: bool) -> None:
    subject = two_replicas()
    task = submit(subject, "a")
    if has_begun:
        task.transcript.append_tokens([""])
    else:
        subject.cancel("a", "client", 1)

    assert not subject.can_go_on(task)
    subject.release(task, 1, failed=None if has_begun else FAILED)
    assert 1 == len(starts(subject))


@pytest.mark.req("OC-CORE-1005", "OC-CORE-1028")
@pytest.mark.parametrize(("how", "code"), [("cancel", "CANCELED"), ("tick", "DEADLINE_UNMET")])
def test_while_it_waits_again_it_is_as_any_other_that_waits(how: str, code: str) -> None:
    subject = two_replicas()
    task = submit(subject, "a", deadline_ms=5_000)
    submit(subject, "b")
    fail(subject, task)
    subject.tick(2_000)
    assert "queued" == task.state
    if how == "cancel":
        subject.cancel("a", "client", 3)
    else:
        subject.tick(5_001)

    assert code == (task.failure and task.failure.code)
    assert 0 == len(subject.pools["p"].queue)

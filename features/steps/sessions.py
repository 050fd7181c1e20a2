"""Sessions: their turns, their time, their end."""

from itertools import pairwise

from pytest_bdd import given, parsers, then, when

from features.steps.world import World
from harness.checks.violation import Violation
from harness.expect import ViolationError, assert_ended_well, assert_error, assert_status
from harness.history import now_ms
from harness.outcome import LateError

ROUNDED_MS = 1  # of two figures in whole milliseconds
TURNS_BOUND = 64  # far above the 8 turns that a session may have


@given(parsers.parse("{count:d} tasks of one session have ended"))
@when(parsers.parse("{count:d} more tasks of it have ended"))
def tasks_of_one_session(world: World, count: int) -> None:
    for _ in range(count):
        name = f"turn {len(world.bodies)}"
        world.admit(name, world.body(session_id=world.session_id, max_tokens=2))
        assert_ended_well(world.read_to_end(name))


@when("the session is read")
def the_session_is_read(world: World) -> None:
    world.answers.append(world.client.request("GET", f"/v1/sessions/{world.session_id}"))


@when("the session is deleted")
def the_session_is_deleted(world: World) -> None:
    assert_status(world.client.request("DELETE", f"/v1/sessions/{world.session_id}"), 204, req="ORCH-2005")


@when("tasks of one session are submitted until one is refused")
def until_the_session_is_refused(world: World) -> None:
    for number in range(TURNS_BOUND):
        if world.submit(f"turn {number}", world.body(session_id=world.session_id, max_tokens=2)).status != 202:
            world.notes["accepted"] = number
            return
    raise ViolationError([Violation("OC-CORE-1026", "turns that are bounded", f"it took {TURNS_BOUND}")])


@when(parsers.parse("a task of the session is submitted every {every_ms:d} ms, {count:d} times"))
def tasks_at_intervals(world: World, every_ms: int, count: int) -> None:
    world.notes["turns"] = turns = []
    for number in range(count):
        world.submit(f"turn {number}", world.body(session_id=world.session_id, max_tokens=2))
        turns.append(world.answer)
        if number < count - 1:
            world.wait(lambda: now_ms() - turns[-1].sent_ms >= every_ms, what="the time between two turns")


@then(parsers.parse("it has {turns:d} turns and at most {ttl_ms:d} ms to live"))
def it_has_turns(world: World, turns: int, ttl_ms: int) -> None:
    seen = [*world.notes.get("turns", []), world.answer]
    gaps_ms = [later.answered_ms - earlier.sent_ms for earlier, later in pairwise(seen)]  # at most, for the server
    if (gap_ms := max(gaps_ms, default=0)) >= ttl_ms:
        raise LateError(
            f"the harness was late: {gap_ms:.0f} ms lay between two turns that had to be within {ttl_ms} ms"
        )
    assert_status(world.answer, 200, req="ORCH-2004")
    session = world.answer.json
    assert turns == session["turns"], session
    assert 0 < session["ttl_ms_remaining"] <= ttl_ms, session


@then("the session is gone")
def the_session_is_gone(world: World) -> None:
    the_session_is_read(world)
    assert_error(world.answer, "NOT_FOUND")


@then(parsers.parse("the session is gone within {within_ms:d} ms"))
def the_session_is_gone_soon(world: World, within_ms: int) -> None:
    path = f"/v1/sessions/{world.session_id}"
    is_gone = lambda: world.client.request("GET", path).status == 404  # noqa: E731 - one line of a wait
    world.wait_within(is_gone, within_ms, what="the session to expire", figure="session_expiry_ms")
    the_session_is_gone(world)


@then("the wait is as long as the session lives")
def the_wait_is_its_time_to_live(world: World) -> None:
    """What is read afterwards is less by the time that this took."""
    wait_ms = world.answer.json["retry_after_ms"]
    left_ms = world.client.request("GET", f"/v1/sessions/{world.session_id}").json["ttl_ms_remaining"]
    passed_ms = world.history.exchanges[-1].answered_ms - world.answer.sent_ms
    if not left_ms <= wait_ms <= left_ms + passed_ms + ROUNDED_MS:
        raise ViolationError([Violation("OC-CORE-1026", f"a wait of {left_ms} ms", f"{wait_ms} ms", str(world.answer))])


@then(parsers.parse("{count:d} of them were accepted at most"))
def at_most_were_accepted(world: World, count: int) -> None:
    assert 1 <= world.notes["accepted"] <= count

"""Streams: readers that come, come back, leave; and what they saw."""

from pytest_bdd import given, parsers, then, when

from features.steps import faults
from features.steps.world import ANSWER_MS, END_MS, World
from harness.checks import stream as rules
from harness.checks.violation import Violation
from harness.expect import (
    ViolationError,
    assert_ended_well,
    assert_ended_with,
    assert_status,
    require,
)
from harness.history import Exchange, Stream
from harness.outcome import NotTestableError

Seen = list[tuple[str | None, str, str]]


def seen(stream: Stream) -> Seen:
    """What a reader saw, in a form that can be compared."""
    return [(frame.id, frame.event, frame.data) for frame in stream.frames]


# ── given, when ──

COMMENTS_MS = 5_000  # for comments that are to come every 100 ms


@given("a reader of it")
def a_reader(world: World) -> None:
    world.open("task")
    assert_status(_opening(world, "task"), 200, req="ORCH-2002")


@given("two readers of it")
def two_readers(world: World) -> None:
    a_reader(world)
    world.streams["other"] = world.client.open_stream(world.task_id("task"))


@given(parsers.parse("{count:d} readers of it"))
def readers(world: World, count: int) -> None:
    for _ in range(count):
        a_reader(world)


@given(parsers.parse("a reader that has {tokens:d} tokens of it"))
def a_reader_with_tokens(world: World, tokens: int) -> None:
    a_reader(world)
    world.wait_tokens("task", tokens)


@when("its stream is opened")
def its_stream_is_opened(world: World) -> None:
    a_reader(world)


@when(parsers.parse('its stream is opened with X-Correlation-Id "{value}"'))
def its_stream_is_opened_with_an_id(world: World, value: str) -> None:
    world.open("task", headers={"X-Correlation-Id": value})


@when("its stream is read to the end")
def its_stream_is_read(world: World) -> None:
    assert_status(world.answer, 202, req="ORCH-2001")
    world.read_to_end("task")


@when("its stream is read a second time")
def its_stream_is_read_again(world: World) -> None:
    first = world.read_to_end("task")
    world.notes["first reader"] = first
    world.open("task")
    world.notes["second reader"] = world.read_to_end("task")


@when("two readers read it to the end")
def two_readers_read(world: World) -> None:
    two_readers(world)
    world.client.read_to_end([world.streams["task"], world.streams["other"]], deadline_ms=END_MS)
    world.notes["first reader"], world.notes["second reader"] = world.stream("task"), world.stream("other")


@when(parsers.parse("a reader comes back after {frame}"))
def a_reader_comes_back(world: World, frame: str) -> None:
    whole = world.stream("task").frames
    at = {
        "the-first-frame": 0,
        "a-middle-frame": len(whole) // 2,
        "the-last-token": max(number for number, f in enumerate(whole) if f.event == "token"),
        "the-terminal-frame": len(whole) - 1,
    }[frame]
    world.notes["whole"], world.notes["at"] = whole, at
    world.streams["back"] = world.client.open_stream(world.task_id("task"), after=whole[at].id)


@when(parsers.parse("a reader comes back with Last-Event-ID {value}"))
def a_reader_comes_back_with(world: World, value: str) -> None:
    world.streams["back"] = world.client.open_stream(world.task_id("task"), after=value)
    world.client.read_to_end([world.streams["back"]], deadline_ms=END_MS)
    world.answers.append(_opening(world, "back"))


@when(parsers.parse("its reader leaves after {tokens:d} tokens and comes back"))
def its_reader_leaves_and_comes_back(world: World, tokens: int) -> None:
    a_reader_with_tokens(world, tokens)
    first = world.streams["task"]
    faults.leave(world, first)
    world.notes["parts"] = [first.record]
    world.open("task", after=first.record.frames[-1].id)
    world.notes["parts"].append(world.read_to_end("task"))
    world.open("task")
    world.read_to_end("task")


@when("one more reader comes")
def one_more_reader(world: World) -> None:
    reader = world.client.open_stream(world.task_id("task"))
    world.streams["one more"] = reader
    if _opening(world, "one more").status != 200:
        world.client.read_to_end([reader], deadline_ms=END_MS)
    world.answers.append(_opening(world, "one more"))


# ── then ──


@then("the stream starts with started and ends with end")
def it_starts_and_ends(world: World) -> None:
    stream = world.stream("task")
    assert_ended_well(stream)
    assert "started" == stream.frames[0].event, stream


@then("it has the tokens that its end counts")
def it_has_the_tokens(world: World) -> None:
    stream = world.stream("task")
    require(rules.sums_agree(stream))
    assert stream.tokens, stream


@then("started repeats what the admission said")
def started_repeats(world: World) -> None:
    told, started = world.answer.json, world.stream("task").frames[0].payload
    fields = ("queue_position", "predicted_start_ms")
    assert [told[name] for name in fields] == [started[name] for name in fields]


@then(parsers.re(r"started names (?P<fields>[a-z_]+(?:, [a-z_]+)* and [a-z_]+)$"))
def started_names(world: World, fields: str) -> None:
    started = world.stream("task").frames[0].payload
    missing = [name for name in fields.replace(" and ", ", ").split(", ") if started.get(name) in (None, "")]
    if missing:
        raise ViolationError([Violation("ORCH-3029", f"started with {fields}", f"without {missing}", str(started))])


@then("the second frame and the last but one are metrics")
def metrics_frames_are_in_place(world: World) -> None:
    events = [frame.event for frame in world.stream("task").frames]
    assert ("metrics", "metrics") == (events[1], events[-2]), world.stream("task")


@then("every metrics frame has queue_depth and on_time_probability")
def metrics_frames_have(world: World) -> None:
    frames = world.stream("task").of("metrics")
    assert frames, world.stream("task")
    for frame in frames:
        assert {"queue_depth", "on_time_probability"} <= frame.payload.keys(), frame.data


@then("tokens arrive before the task has ended")
def tokens_arrive(world: World) -> None:
    stream = world.stream("task")
    has_come = lambda: len(stream.tokens) >= 4 or stream.end  # noqa: E731 - asked again and again
    world.wait_within(has_come, ANSWER_MS, what="4 tokens of a task that runs", figure="tokens_ms")
    world.require_long("task")
    assert "running" == world.state("task")


@then("both readers got the same frames")
def both_got_the_same(world: World) -> None:
    first, second = world.notes["first reader"], world.notes["second reader"]
    _require_same(seen(first), seen(second))


@then("it gets exactly the frames after that one")
def it_gets_the_rest(world: World) -> None:
    assert_status(_opening(world, "back"), 200, req="ORCH-2002")
    back = world.streams["back"]
    world.client.read_to_end([back], deadline_ms=END_MS)
    whole, at = world.notes["whole"], world.notes["at"]
    _require_same([(f.id, f.event, f.data) for f in whole[at + 1 :]], seen(back.record))


@then("both parts together are the whole transcript")
def both_parts_are_the_whole(world: World) -> None:
    parts = world.notes["parts"]
    _require_same(seen(world.stream("task")), seen(parts[0]) + seen(parts[1]))


@then("it is told that there is nothing more")
def nothing_more(world: World) -> None:
    """204 tells an EventSource to stop; an empty stream would make it come back for ever."""
    assert_status(_opening(world, "back"), 204, req="ORCH-2002")


@then("its stream is text/event-stream and not stored")
def it_is_an_event_stream(world: World) -> None:
    opening = _opening(world, "task")
    assert opening.is_event_stream, opening.header("content-type")
    assert "no-store" in (opening.header("cache-control") or ""), opening.header("cache-control")


@then(parsers.parse("{count:d} comments arrive before it starts"))
def comments_arrive(world: World, count: int) -> None:
    stream = world.stream("task")
    has_come = lambda: len(stream.keep_alives) >= count  # noqa: E731 - asked again and again
    what = f"{count} comments on a waiting stream"
    world.wait_within(has_come, COMMENTS_MS, what=what, figure="comments_ms")
    assert [] == stream.frames, stream


@then(parsers.parse("its stream ends with {code}, and it has not started"))
def it_ends_unstarted(world: World, code: str) -> None:
    stream = world.read_to_end("task")
    assert_ended_with(stream, code)
    assert [] == stream.of("started") + stream.tokens, stream


@then(parsers.parse("its stream ends with {code}, retriable"))
def it_ends_retriable(world: World, code: str) -> None:
    stream = world.read_to_end("task")
    assert_ended_with(stream, code)
    assert stream.terminal is not None
    assert True is stream.terminal.payload.get("retriable"), stream.terminal.data


@then(parsers.re(r"its stream ends with (?P<code>[A-Z_]+)$"))
def it_ends_with(world: World, code: str) -> None:
    assert_ended_with(world.read_to_end("task"), code)


@then("its stream is as it was")
def its_stream_is_as_it_was(world: World) -> None:
    before = seen(world.stream("task"))
    world.open("task")
    _require_same(before, seen(world.read_to_end("task")))


@then("the second reader saw no token")
def the_second_saw_no_token(world: World) -> None:
    second = world.notes["second reader"]
    assert_ended_with(second, "CANCELED")
    if second.tokens:
        raise ViolationError([Violation("ORCH-3026", "no token", f"{len(second.tokens)} tokens", str(second))])


@then("the reader gets the whole stream")
def the_reader_gets_all(world: World) -> None:
    assert_ended_well(world.read_to_end("task"))
    require(rules.sums_agree(world.stream("task")))


@then(parsers.parse("it ended well with {tokens:d} tokens"))
def it_ended_well_with(world: World, tokens: int) -> None:
    stream = world.read_to_end("task")
    assert_ended_well(stream)
    assert tokens == len(stream.tokens), stream


@then(parsers.parse("it ended with {code}, retriable, after {tokens:d} tokens"))
def it_ended_after(world: World, code: str, tokens: int) -> None:
    it_ends_retriable(world, code)
    assert tokens == len(world.stream("task").tokens), world.stream("task")


@then(parsers.parse("it ended with {code}, not retriable, after {tokens:d} tokens"))
def it_ended_for_good(world: World, code: str, tokens: int) -> None:
    stream = world.read_to_end("task")
    assert_ended_with(stream, code)
    assert stream.terminal is not None
    assert False is stream.terminal.payload.get("retriable"), stream.terminal.data
    assert tokens == len(stream.tokens), stream


@then(parsers.parse("a task of {tokens:d} tokens still ends well"))
def a_task_still_ends_well(world: World, tokens: int) -> None:
    world.admit("after", world.body(max_tokens=tokens))
    assert_ended_well(world.read_to_end("after"))


@then(parsers.parse("it ended with {code}, retriable, after {tokens:d} tokens or more"))
def it_ended_after_some(world: World, code: str, tokens: int) -> None:
    it_ends_retriable(world, code)
    assert len(world.stream("task").tokens) >= tokens, world.stream("task")


@then(parsers.parse('the stream\'s answer has X-Correlation-Id "{value}"'))
def the_streams_answer_has(world: World, value: str) -> None:
    assert value == _opening(world, "task").header("x-correlation-id")


def _opening(world: World, name: str) -> Exchange:
    opening = world.stream(name).opening
    if opening is None:
        raise NotTestableError(f"the stream was not answered: {world.stream(name)}")
    return opening


def _require_same(expected: Seen, actual: Seen) -> None:
    if expected != actual:
        raise ViolationError([_difference(expected, actual)])


def _difference(expected: Seen, actual: Seen) -> Violation:
    at = next((n for n, pair in enumerate(zip(expected, actual, strict=False)) if pair[0] != pair[1]), None)
    at = min(len(expected), len(actual)) if at is None else at
    wanted, got = (str(side[at]) if at < len(side) else "nothing more" for side in (expected, actual))
    lengths = f"{len(expected)} and {len(actual)} frames"
    return Violation("ORCH-2002", f"{wanted} as frame {at}", got, lengths)

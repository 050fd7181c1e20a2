"""Readers: those who come late, come back, or are one too many."""

from collections.abc import Iterator

from harness.saboteur.defect import STREAM, Exchange, Stream, Wire, answers, exchanges, frames
from harness.saboteur.message import Answer, Frame, Request

NOT_EVEN_LARGE = 6  # digits of a place that no stream of a test has


def _reader(stream: Stream) -> int:
    """How many readers this task had before this one."""
    return stream.number(f"readers of {stream.request.path}")


@frames("ORCH-2011")
def late_reader_misses_the_start(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """A late reader gets only what is new."""
    if not (_reader(stream) and frame.event == "metrics" and stream.memory.setdefault("first", frame) is frame):
        yield frame


@frames("ORCH-2011", "ORCH-2002")
def readers_see_different_texts(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """A second reader of a task sees other pieces."""
    yield frame.having(t=frame.payload["t"] + ".") if _reader(stream) and frame.event == "token" else frame


@exchanges("ORCH-2011", at=STREAM)
def last_event_id_ignored(request: Request, wire: Wire) -> Exchange:
    """A reader that comes back gets everything again."""
    request.drop("Last-Event-ID")
    yield None


@exchanges("ORCH-2011", at=STREAM)
def last_frame_again(request: Request, wire: Wire) -> Exchange:
    """A reader that comes back gets the frame again that it named."""
    if (given := request.header("Last-Event-ID") or "").isdigit() and int(given):
        request.put("Last-Event-ID", str(int(given) - 1))
    yield None


@exchanges("OC-CTRL-2027", at=STREAM)
def any_place_will_do(request: Request, wire: Wire) -> Exchange:
    """A reader that names a frame which is none starts over."""
    given = request.header("Last-Event-ID")
    if given is not None and not (given.isdigit() and len(given) < NOT_EVEN_LARGE):
        request.drop("Last-Event-ID")
    yield None


@answers("OC-CTRL-2027", at=STREAM)
def come_back_for_ever(answer: Answer, request: Request, wire: Wire) -> None:
    """A reader that has seen the end gets an empty stream, after which it comes again."""
    if answer.status == 204:
        answer.become(200).put("Content-Type", "text/event-stream")


@answers("OC-CTRL-2029", at=STREAM)
def readers_without_bound(answer: Answer, request: Request, wire: Wire) -> None:
    """One reader more than a task may have is let in."""
    if answer.status == 429:
        answer.become(200).put("Content-Type", "text/event-stream")


@answers("OC-CTRL-2029", at=STREAM)
def readers_refused_by_another_policy(answer: Answer, request: Request, wire: Wire) -> None:
    """A reader too many is told that the queue is full."""
    if answer.status == 429:
        answer.set(policy_label="reject")


@answers("ORCH-2002", at=STREAM)
def a_stream_of_plain_text(answer: Answer, request: Request, wire: Wire) -> None:
    """A stream says that it is text, not events."""
    if answer.is_stream:
        answer.put("Content-Type", "text/plain")


@answers("ORCH-2002", at=STREAM)
def a_stream_that_proxies_keep(answer: Answer, request: Request, wire: Wire) -> None:
    """Whoever stands between may store a stream."""
    if answer.is_stream:
        answer.put("Cache-Control", "public, max-age=60")


@exchanges("ORCH-2010", at="POST /v1/tasks")
def the_last_reader_takes_the_task(request: Request, wire: Wire) -> Exchange:
    """A task is canceled when its last reader leaves, though nobody asked for that."""
    request.set(on_disconnect="cancel")
    yield None


@exchanges("ORCH-2010", "OC-CORE-1017", at="POST /v1/tasks")
def a_task_outlives_its_readers(request: Request, wire: Wire) -> Exchange:
    """A task that asked to be canceled on disconnect goes on."""
    request.set(on_disconnect=None)
    yield None


@answers("OC-CORE-1017", "ORCH-3017", at="GET /metrics")
def an_engine_connection_is_left_open(answer: Answer, request: Request, wire: Wire) -> None:
    """What a reader or a cancel leaves keeps its connection to the engine."""
    before, name, after = answer.body.partition(b"\nengine_connections_open ")
    answer.body = before + name + (b"1" + after if name else after)

"""Streams that are cut, refused, repeated or wrong, in both forms of the client."""

from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any

import anyio
import httpx
import pytest
import respx
from hypothesis import given
from hypothesis import strategies as st

from contracts.client import (
    ApiError,
    AsyncOrchQueueClient,
    OrchQueueClient,
    StreamCutError,
    UnexpectedAnswerError,
    errors,
    failure,
    models,
)
from contracts.client.resume import ATTEMPTS, WAIT_MAX_S, Resume
from contracts.client.tests.contract import STREAM

URL = "http://orchqueue.test"
BLOCKING, ASYNC = OrchQueueClient(URL), AsyncOrchQueueClient(URL)  # for all cases: respx answers below the pool
PATH = "/v1/tasks/t/stream"
EVENTS = {"Content-Type": "text/event-stream"}
FRAMES = [block + "\n\n" for block in STREAM.strip().split("\n\n")]
FORMS = pytest.mark.parametrize("form", ["blocking", "async"])


class Cut(httpx.SyncByteStream, httpx.AsyncByteStream):
    """Some text, and then a broken connection."""

    def __init__(self, text: str) -> None:
        self._data = text.encode()

    def __iter__(self) -> Iterator[bytes]:
        yield self._data
        raise httpx.ReadError("reset")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._data
        raise httpx.ReadError("reset")


def stream(frames: list[str]) -> httpx.Response:
    return httpx.Response(200, headers=EVENTS, text="".join(frames))


def cut(frames: list[str], rest: str = "") -> httpx.Response:
    return httpx.Response(200, headers=EVENTS, stream=Cut("".join(frames) + rest))


def refusal(status: int, code: str, **fields: Any) -> httpx.Response:
    return httpx.Response(status, json={"code": code, "message": "m", **fields})


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the client waited between its attempts, which takes no time here."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    # the client's own alone: what else waits in this process goes on
    monkeypatch.setattr("contracts.client.streams.time", SimpleNamespace(sleep=waited.append))
    monkeypatch.setattr("contracts.client.streams.anyio", SimpleNamespace(sleep=sleep))
    return waited


@pytest.fixture
def route() -> Iterator[respx.Route]:
    with respx.mock(base_url=URL) as router:
        yield router.get(PATH)


def read(form: str, **keywords: Any) -> list[int]:
    """The ids of all frames."""
    if form == "blocking":
        with BLOCKING.stream_task("t", **keywords) as frames:
            return [event.id for event in frames]

    async def ask() -> list[int]:
        async with ASYNC.stream_task("t", **keywords) as frames:
            return [event.id async for event in frames]

    return anyio.run(ask)


def asked_after(route: respx.Route) -> list[str | None]:
    """The `Last-Event-ID` of every attempt."""
    return [call.request.headers.get("Last-Event-ID") for call in route.calls]


@FORMS
@pytest.mark.req("ORCH-3102", "ORCH-2011")
def test_a_cut_stream_is_taken_up_after_its_last_whole_frame(route: respx.Route, waits: list[float], form: str) -> None:
    route.side_effect = [
        cut(FRAMES[:3], rest=FRAMES[3][:20]),
        cut(FRAMES[3:4]),
        stream(FRAMES[4:]),
        httpx.Response(500),
    ]

    assert [0, 1, 2, 3, 4, 5] == read(form)
    assert [None, "2", "3"] == asked_after(route)
    assert [0, 0] == waits


@FORMS
@pytest.mark.req("ORCH-3102")
def test_a_stream_that_ends_early_is_no_end(route: respx.Route, waits: list[float], form: str) -> None:
    route.side_effect = [stream(FRAMES[:5]), stream(FRAMES[5:])]

    assert [0, 1, 2, 3, 4, 5] == read(form)


@FORMS
@pytest.mark.req("ORCH-3102")
def test_a_server_that_repeats_frames_is_not_believed(route: respx.Route, waits: list[float], form: str) -> None:
    route.side_effect = [cut(FRAMES[:3]), stream(FRAMES)]

    assert [0, 1, 2, 3, 4, 5] == read(form)


@FORMS
@pytest.mark.req("ORCH-3102")
def test_a_reader_goes_on_where_it_says_and_hears_that_there_is_nothing_more(route: respx.Route, form: str) -> None:
    route.side_effect = [stream(FRAMES[4:]), httpx.Response(204)]

    assert ([4, 5], []) == (read(form, last_event_id=3), read(form, last_event_id=5))
    assert ["3", "5"] == asked_after(route)


@FORMS
@pytest.mark.req("ORCH-3025", "ORCH-3102")
def test_attempts_are_bounded_and_their_waits_grow(route: respx.Route, waits: list[float], form: str) -> None:
    route.side_effect = [cut(FRAMES[:2]), *[httpx.ConnectError("refused")] * (ATTEMPTS + 1)]

    with pytest.raises(StreamCutError) as raised:
        read(form)

    assert 1 == raised.value.last_event_id
    assert ATTEMPTS + 1 == route.call_count
    assert sorted(waits) == waits
    assert ATTEMPTS == len(waits)
    assert max(waits) <= WAIT_MAX_S


@FORMS
@pytest.mark.req("ORCH-3025")
def test_a_retriable_refusal_is_waited_out_as_long_as_it_says(
    route: respx.Route, waits: list[float], form: str
) -> None:
    busy = refusal(429, "ADMISSION_REJECT", retriable=True, retry_after_ms=1250, policy_label="readers")
    route.side_effect = [cut(FRAMES[:1]), busy, stream(FRAMES[1:])]

    assert [0, 1, 2, 3, 4, 5] == read(form)
    assert [0, 1.25] == waits


@FORMS
@pytest.mark.req("ORCH-3025")
def test_any_other_refusal_is_not_tried_again(route: respx.Route, waits: list[float], form: str) -> None:
    route.side_effect = [cut(FRAMES[:1]), refusal(404, "NOT_FOUND", retriable=False), httpx.Response(500)]

    with pytest.raises(errors.NotFoundError):
        read(form)
    assert 2 == route.call_count


@FORMS
@pytest.mark.req("ORCH-3101")
def test_the_opening_is_sent_once_and_its_refusal_is_raised(route: respx.Route, form: str) -> None:
    route.side_effect = [refusal(503, "POOL_UNREADY", retriable=True), stream(FRAMES)]

    with pytest.raises(errors.PoolUnreadyError):
        read(form)
    assert 1 == route.call_count


@FORMS
@pytest.mark.req("OC-TEST-7006")
@pytest.mark.parametrize(
    "response",
    [
        pytest.param(httpx.Response(200, json={}), id="no event stream"),
        pytest.param(httpx.Response(302), id="a redirect"),
        pytest.param(stream(["id: 0\nevent: token\ndata: {}\n\n"]), id="a frame without its fields"),
        pytest.param(stream(["id: 0\nevent: token\ndata: {\n\n"]), id="no JSON"),
        pytest.param(stream(['id: x\nevent: token\ndata: {"t":"","i":0}\n\n']), id="an id that is no number"),
        pytest.param(stream(['event: token\ndata: {"t":"","i":0}\n\n']), id="no id"),
    ],
)
def test_what_is_no_stream_of_the_contract_is_unexpected(
    route: respx.Route, response: httpx.Response, form: str
) -> None:
    route.side_effect = [response]

    with pytest.raises(UnexpectedAnswerError):
        read(form)


@FORMS
def test_line_separators_of_unicode_end_no_line(route: respx.Route, form: str) -> None:
    piece = "a\u2028b\x85c"
    route.side_effect = [stream([f'id: 0\nevent: error\ndata: {{"code":"INTERNAL","message":"{piece}"}}\n\n'])]

    assert [0] == read(form)


@pytest.mark.req("ORCH-2010")
def test_leaving_early_closes_the_connection(route: respx.Route) -> None:
    closed: list[bool] = []

    class Watched(Cut):
        def close(self) -> None:
            closed.append(True)

    route.side_effect = [httpx.Response(200, headers=EVENTS, stream=Watched("".join(FRAMES[:2])))]
    with OrchQueueClient(URL) as client, client.stream_task("t") as frames:
        assert 0 == next(frames).id
        assert [] == closed

    assert [True] == closed


@pytest.mark.req("ORCH-2006")
def test_the_last_frame_of_a_failed_task_becomes_its_error() -> None:
    error = failure(models.ErrorFrame(code="WORKER_RESET", message="m", engine="vllm", retry_after_ms=5))

    assert isinstance(error, errors.WorkerResetError)
    assert (True, 5, "vllm", None) == (error.retriable, error.retry_after_ms, error.engine, error.status)


@pytest.mark.req("ORCH-3102")
@given(cuts=st.lists(st.integers(0, 6), max_size=5), overlap=st.integers(0, 3))
def test_wherever_it_is_cut_each_frame_is_seen_once_and_in_order(cuts: list[int], overlap: int) -> None:
    """The rules alone: a server resumes up to `overlap` frames too early, and is cut after so many frames."""
    resume = Resume(None)
    seen: list[int] = []
    for length in [*cuts, len(FRAMES)]:
        start = 0 if resume.last_event_id is None else max(0, resume.last_event_id + 1 - overlap)
        for index in range(start, min(start + length, len(FRAMES)) if length < len(FRAMES) else len(FRAMES)):
            name, data = "end" if index == len(FRAMES) - 1 else "metrics", "{}"
            data = '{"tokens_out":0,"decode_ms":0}' if name == "end" else data
            event = resume.take(name, data, str(index))
            seen += [event.id] if event is not None else []
        if resume.is_done:
            break
        resume.after_cut("cut")

    assert list(range(len(FRAMES))) == seen


@pytest.mark.req("OC-TEST-7006")
@given(event=st.text(), data=st.text(), identifier=st.text())
def test_no_text_off_the_wire_breaks_the_reader(event: str, data: str, identifier: str) -> None:
    for name in (event, "token", "end"):
        try:
            Resume(None).take(name, data, identifier)
        except UnexpectedAnswerError:
            continue


def test_a_refusal_that_is_met_too_often_is_raised_as_itself() -> None:
    resume, busy = Resume(None), failure(models.ErrorFrame(code="POOL_UNREADY", message="m"))
    for _ in range(ATTEMPTS):
        resume.after_cut(busy)

    with pytest.raises(ApiError) as raised:
        resume.after_cut(busy)
    assert busy is raised.value

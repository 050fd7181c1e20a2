"""The client writes down what happened, waits with deadlines, and tells apart what left before and after a cancel."""

import contextlib
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import count

import pytest

from harness.client import ANONYMOUS, Client
from harness.history import History, now_ms
from harness.lateness import Stopwatch, ticker
from harness.outcome import HangError
from harness.raw import go_away
from harness.tests.tiny_server import END, EVENT_STREAM, Script, TinyServer, answer, chunk


@contextlib.contextmanager
def speaking_to(script: Script) -> Iterator[tuple[Client, TinyServer]]:
    with TinyServer(script) as server:
        client = Client(server.url, token="secret", history=History())
        try:
            yield client, server
        finally:
            client.close()


def always(data: bytes) -> Script:
    return lambda sock, head: sock.sendall(data)


def test_an_exchange_is_written_down_without_the_token() -> None:
    with speaking_to(always(answer("418 Teapot", b'{"a": 1}', "X-One: 1", "X-One: 2"))) as (client, server):
        exchange = client.request("POST", "/v1/tasks", json={"b": 2}, headers={"X-Two": "3"})

        assert client.history.exchanges == [exchange]
        assert b"Authorization: Bearer secret" in server.requests[0]
    assert (418, {"a": 1}, "1, 2") == (exchange.status, exchange.json, exchange.header("x-one"))
    assert ("3", None) == (exchange.request_header("X-Two"), exchange.request_header("authorization"))
    assert exchange.sent_ms < exchange.answered_ms


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        pytest.param(None, b"Bearer secret", id="the-run's"),
        pytest.param("other", b"Bearer other", id="another"),
        pytest.param(ANONYMOUS, None, id="none"),
    ],
)
def test_a_request_has_the_token_that_was_asked_for(token: str | None, expected: bytes | None) -> None:
    with speaking_to(always(answer("200 OK", b""))) as (client, server):
        client.request("GET", "/", token=token)

        assert (expected is not None) == (b"uthorization" in server.requests[0])
        assert expected is None or expected in server.requests[0]


def test_a_connection_that_breaks_is_an_exchange_without_status() -> None:
    with speaking_to(lambda sock, head: None) as (client, _):
        assert 0 == client.request("GET", "/").status


def test_a_redirect_is_not_followed() -> None:
    with speaking_to(always(answer("302 Found", b"", "Location: http://127.0.0.1:9/"))) as (client, _):
        assert 302 == client.request("GET", "/").status


@pytest.mark.req("OC-TEST-7008")
def test_a_wait_that_is_not_met_hangs_with_its_reason() -> None:
    with (
        speaking_to(always(b"")) as (client, _),
        pytest.raises(HangError, match="of 30 ms for the moon"),
    ):
        client.wait_until(lambda: False, deadline_ms=30, what="the moon")


HELD = """
import os, signal, sys, time
print("ready", flush=True)
sys.stdin.readline()
os.kill(os.getppid(), signal.SIGSTOP)
time.sleep(0.8)
os.kill(os.getppid(), signal.SIGCONT)
time.sleep(0.05)
"""
ENDLESS = """
import signal
print("ready", flush=True)
signal.pause()
"""


@pytest.mark.req("OC-TEST-7034")
@pytest.mark.parametrize(
    ("code", "ends"),
    [
        pytest.param(HELD, contextlib.nullcontext(), id="the-machine-stood-still"),
        pytest.param(ENDLESS, pytest.raises(HangError, match="of 300 ms for its end"), id="it-did-not-end"),
    ],
)
def test_a_deadline_does_not_pass_while_the_harness_stands_still(
    code: str, ends: contextlib.AbstractContextManager[object]
) -> None:
    """A process ends 850 ms after it was told to, for the first 800 of which we are stopped by a signal; or never.

    It ends some looks after we go on, so that one more look after the deadline is not enough.
    """
    ticker()
    with speaking_to(always(b"")) as (client, _):
        command = [sys.executable, "-c", code]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
            assert other.stdin is not None
            assert other.stdout is not None
            assert b"ready\n" == other.stdout.readline()
            watch = Stopwatch([other.pid])
            other.stdin.write(b"\n")
            other.stdin.close()
            with ends:
                client.wait_until(lambda: other.poll() is not None, deadline_ms=300, what="its end", watch=watch)
            other.kill()


@pytest.mark.req("OC-TEST-7034")
def test_what_has_arrived_by_the_deadline_is_looked_at_once_more() -> None:
    """The first look is before there is a deadline, the second sees that it is over, and the third finds it."""
    with speaking_to(always(b"")) as (client, _):
        looks = iter([None, None, "it"])

        assert client.wait_until(lambda: next(looks), deadline_ms=0, what="it") == "it"


@pytest.mark.parametrize(
    ("body", "events", "end"),
    [
        pytest.param(chunk(b"id: 0\nevent: end\ndata: {}\n\n") + END, ["end"], "complete", id="whole"),
        pytest.param(
            chunk(b"event: a\ndata: 1\n\nevent: b\nda") + chunk(b"ta: 2\n\n") + END, ["a", "b"], "complete", id="split"
        ),
        pytest.param(chunk(b"event: a\ndata: 1\n\n"), ["a"], "cut", id="no-last-chunk"),
        pytest.param(chunk(b"event: a\ndata: 1\n\nevent: b\n") + END, ["a"], "cut", id="ends-within-an-event"),
        pytest.param(b"zz\r\n", [], "cut", id="no-chunk"),
        pytest.param(chunk(b"data: \xff\n\n") + END, [], "cut", id="no-utf-8"),
    ],
)
def test_a_stream_is_written_down_with_how_it_ended(body: bytes, events: list[str], end: str) -> None:
    with speaking_to(always(EVENT_STREAM + body)) as (client, _):
        began_ms, reader = now_ms(), client.open_stream("t")
        client.read_to_end([reader], deadline_ms=2_000)

        assert (events, end) == ([frame.event for frame in reader.record.frames], reader.record.end)
        assert began_ms <= (reader.record.ended_ms or 0.0) <= now_ms()


def test_a_refused_stream_is_an_answer_with_a_body() -> None:
    with speaking_to(always(answer("404 Not Found", b'{"code": "NOT_FOUND"}'))) as (client, server):
        reader = client.open_stream("t", after="7")
        client.read_to_end([reader], deadline_ms=2_000)

        assert b"Last-Event-ID: 7" in server.requests[0].replace(b"last-event-id", b"Last-Event-ID")
    assert reader.record.opening is not None
    assert (404, {"code": "NOT_FOUND"}) == (reader.record.opening.status, reader.record.opening.json)


def test_comments_are_no_frames() -> None:
    with speaking_to(always(EVENT_STREAM + chunk(b": hi\n\n: ho\n\n") + END)) as (client, _):
        reader = client.open_stream("t")
        client.read_to_end([reader], deadline_ms=2_000)

        assert (2, []) == (len(reader.record.keep_alives), reader.record.frames)


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_reader_that_leaves_is_gone_for_the_server(how: str) -> None:
    seen: list[bytes | str] = []

    def script(sock: socket.socket, head: bytes) -> None:
        sock.sendall(EVENT_STREAM)
        try:
            seen.append(sock.recv(1))
        except ConnectionResetError:
            seen.append("reset")

    with speaking_to(script) as (client, _):
        reader = client.open_stream("t")
        client.leave(reader, how)  # type: ignore[arg-type]
        client.wait_until(lambda: seen, deadline_ms=2_000, what="the server to notice")

    assert [b"" if how == "close" else "reset"] == seen
    assert "left" == reader.record.end


TOKEN = chunk(b'event: token\ndata: {"t":"x","i":0}\n\n')


@pytest.mark.req("ORCH-3026", "OC-TEST-7006", "OC-TEST-7034")
@pytest.mark.parametrize("stands_still", [False, True])
@pytest.mark.parametrize(
    ("before", "after"),
    [pytest.param(3, 0, id="all-before"), pytest.param(3, 2, id="two-after"), pytest.param(0, 1, id="one-after")],
)
def test_frames_that_left_before_the_cancel_was_answered_are_told_from_later_ones(
    monkeypatch: pytest.MonkeyPatch, *, before: int, after: int, stands_still: bool
) -> None:
    """The reader has read nothing of them when it cancels: no clock of its own could tell, and it may jump."""
    asked, sent, released = threading.Event(), threading.Event(), threading.Event()

    def stream(sock: socket.socket, head: bytes) -> None:
        sock.sendall(EVENT_STREAM)
        threading.Thread(target=cancel, daemon=True).start()
        asked.wait(5)
        sock.sendall(TOKEN * before)
        sent.set()
        released.wait(5)
        sock.sendall(TOKEN * after + END)

    listener = socket.create_server(("127.0.0.1", 0))

    def cancel() -> None:
        sock, _ = listener.accept()
        with sock:
            sock.recv(65536)
            asked.set()
            sent.wait(5)
            sock.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    with speaking_to(stream) as (client, _), listener:
        reader = client.open_stream("t")
        on_other_port = Client(f"http://127.0.0.1:{listener.getsockname()[1]}", token=None, history=client.history)
        on_other_port.readers = client.readers
        if stands_still:
            monkeypatch.setattr("harness.client.now_ms", count(step=1_000).__next__)
        on_other_port.cancel("t")
        monkeypatch.undo()
        released.set()
        client.read_to_end([reader], deadline_ms=2_000)
        on_other_port.close()

    assert (before, before + after) == (reader.record.frames_at_cancel, len(reader.record.frames))


@pytest.mark.parametrize(
    ("script", "status"),
    [
        pytest.param(always(answer("400 Bad Request", b"{}")), 400, id="answered"),
        pytest.param(always(b""), 0, id="closed"),
        pytest.param(always(b"what?\r\n\r\n"), 0, id="no-http"),
        pytest.param(always(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf"), 200, id="half-an-answer"),
    ],
)
def test_raw_bytes_are_sent_as_they_are(script: Script, status: int) -> None:
    with speaking_to(script) as (client, server):
        exchange = client.send_raw(b"GET /\x00 HTTP/1.1\r\nX-Correlation-Id: a\r\n\tb\r\nX-Two:\r\n\r\nbody")

        assert server.requests[0].startswith(b"GET /\x00 HTTP/1.1\r\n")
    assert (status, "hostile", b"body") == (exchange.status, exchange.origin, exchange.request_body)
    assert (("x-correlation-id", "a\n\tb"), ("x-two", "")) == exchange.request_headers


@pytest.mark.req("OC-TEST-7020")
def test_a_client_can_go_away_without_an_answer() -> None:
    with speaking_to(always(answer("200 OK", b""))) as (client, server):
        went = go_away(server.url, b"POST / HT")
        client.wait_until(lambda: server.requests, deadline_ms=2_000, what="the connection")

        assert (True, [b"POST / HT"]) == (went, server.requests)


@pytest.mark.req("OC-TEST-7020")
def test_a_client_that_was_answered_before_did_not_go_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if it had been held up: it looks only once there is something to see."""
    look = select.select
    monkeypatch.setattr(select, "select", lambda readers, writers, broken, _: look(readers, writers, broken, 5))
    with speaking_to(always(answer("200 OK", b""))) as (_, server):
        assert not go_away(server.url, b"GET / HTTP/1.1\r\n\r\n")

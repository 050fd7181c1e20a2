"""The proxy changes nothing but what is planted, holds nothing back, and passes on how each side goes away."""

import socket
import threading
from collections.abc import Iterator

import pytest

from harness.client import Client
from harness.history import Exchange, History
from harness.raw import exchange
from harness.saboteur.defects import DEFECTS
from harness.saboteur.proxy import Saboteur
from harness.tests.tiny_server import EVENT_STREAM, Script, TinyServer, chunk

WAIT_S = 10.0
OK = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Correlation-Id: a\r\nContent-Length: 9\r\n\r\n{"a": 10}'


@pytest.fixture
def saboteur() -> Iterator[Saboteur]:
    made = Saboteur()
    yield made
    made.close()


def frame(number: int, event: str = "token") -> bytes:
    return chunk(b'id: %d\nevent: %b\ndata: {"t":"x","i":%d}\n\n' % (number, event.encode(), number))


def through(saboteur: Saboteur, script: Script, data: bytes) -> tuple[Exchange, bytes]:
    """Send bytes to a server behind the proxy: what came back, and what the server got."""
    with TinyServer(script) as server:
        answer = exchange(saboteur.front(server.url), data, origin="hostile", timeout_s=WAIT_S)
        return answer, server.requests[0]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"GET /a HTTP/1.1\r\nHost: x\r\nX-Odd:  two  blanks\r\n\r\n", id="a-request"),
        pytest.param(b"\x01\x02 what is this\r\n\r\n", id="noise"),
        pytest.param(b"GET /\x00a HTTP/1.1\r\nHost: x\r\nX Broken: 1\r\n\r\n", id="a-broken-head"),
    ],
)
def test_what_is_sent_arrives_as_it_is(saboteur: Saboteur, data: bytes) -> None:
    answer, got = through(saboteur, lambda sock, _: sock.sendall(OK), data)

    assert data == got
    assert (200, b'{"a": 10}', "a") == (answer.status, answer.body, answer.header("x-correlation-id"))


def test_a_defect_changes_what_it_names_and_counts_it(saboteur: Saboteur) -> None:
    wire = saboteur.plant(DEFECTS["no-correlation-id"])
    answer, _ = through(saboteur, lambda sock, _: sock.sendall(OK), b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")

    assert (None, 1) == (answer.header("x-correlation-id"), wire.fired)


def test_a_defect_of_something_else_does_not_fire(saboteur: Saboteur) -> None:
    wire = saboteur.plant(DEFECTS["a-session-without-kv"])
    answer, _ = through(saboteur, lambda sock, _: sock.sendall(OK), b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")

    assert (200, 0) == (answer.status, wire.fired)


def test_frames_pass_one_by_one_while_the_stream_goes_on(saboteur: Saboteur) -> None:
    seen = threading.Event()

    def script(sock: socket.socket, _: bytes) -> None:
        sock.sendall(EVENT_STREAM + frame(0))
        assert seen.wait(WAIT_S), "the first frame was held back"
        sock.sendall(frame(1, "end") + b"0\r\n\r\n")

    with TinyServer(script) as server:
        client = Client(saboteur.front(server.url), token=None, history=History())
        reader = client.open_stream("7b6a8c1e-6f0f-4f6e-9d58-4c1c1b1f4a10")
        client.wait_until(lambda: reader.record.frames, deadline_ms=WAIT_S * 1000, what="the first frame")
        seen.set()
        client.read_to_end([reader], deadline_ms=WAIT_S * 1000)
        client.close()

    assert (["token", "end"], "complete") == ([f.event for f in reader.record.frames], reader.record.end)


def test_a_stream_that_breaks_off_is_broken_off(saboteur: Saboteur) -> None:
    with TinyServer(lambda sock, _: sock.sendall(EVENT_STREAM + frame(0))) as server:
        client = Client(saboteur.front(server.url), token=None, history=History())
        reader = client.open_stream("7b6a8c1e-6f0f-4f6e-9d58-4c1c1b1f4a10")
        client.read_to_end([reader], deadline_ms=WAIT_S * 1000)
        client.close()

    assert "cut" == reader.record.end


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_reader_that_leaves_has_left_the_server(saboteur: Saboteur, how: str) -> None:
    gone = threading.Event()

    def script(sock: socket.socket, _: bytes) -> None:
        sock.settimeout(WAIT_S)
        sock.sendall(EVENT_STREAM + frame(0))
        try:
            ended = sock.recv(1) == b""
        except ConnectionResetError:
            ended = True
        if ended:
            gone.set()

    with TinyServer(script) as server:
        client = Client(saboteur.front(server.url), token=None, history=History())
        reader = client.open_stream("7b6a8c1e-6f0f-4f6e-9d58-4c1c1b1f4a10")
        client.wait_until(lambda: reader.record.frames, deadline_ms=WAIT_S * 1000, what="the first frame")
        client.leave(reader, how)  # type: ignore[arg-type]  # a literal
        assert gone.wait(WAIT_S), "the server still has its reader"
        client.close()


def test_half_a_body_passes_though_a_defect_would_change_it(saboteur: Saboteur) -> None:
    """Or the server could not say that it came too late."""
    wire = saboteur.plant(DEFECTS["unknown-fields-are-ignored"])
    sent = b'POST /v1/tasks HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{"a": 1'
    answer, got = through(saboteur, lambda sock, _: sock.sendall(OK), sent)

    assert (200, 0, "") == (answer.status, wire.fired, wire.broken)
    assert sent.startswith(got)

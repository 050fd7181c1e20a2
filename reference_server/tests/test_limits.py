"""What a client may hold of the server by doing nothing: connections, bodies, answers, streams."""

import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from reference_server.tests.test_serve import call, server, task

HEAD = b"POST /v1/tasks HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n"
KIB = 1024
READERS = 32
TOKENS = 30_000  # some 1.8 MB of frames, more than the socket buffers of both ends hold
BUFFER_EACH = """
from reference_server.web.server import EnvelopeHandler
EnvelopeHandler.pause_writing = lambda self: None
"""


@contextmanager
def limited(folder: Path, **http: int) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server with these limits and its address; its mock decodes long answers at once."""
    file = folder / "c.yaml"
    replica = {"kind": "mock", "ctx_max": 2 * TOKENS, "token_ms": 0, "prompt_ms": 0}
    file.write_text(json.dumps({"pools": [{"replicas": [replica]}], "http": http}))
    with server("--config", str(file)) as running:
        yield running


def connection(url: str, *, receive_bytes: int | None = None) -> socket.socket:
    parts = urlsplit(url)
    sock = socket.socket()
    if receive_bytes is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    sock.settimeout(20)
    sock.connect((parts.hostname, parts.port))
    return sock


def rest(sock: socket.socket) -> bytes:
    """Everything to the end of the connection, however it ends; a connection that stays open is a TimeoutError."""
    got = b""
    try:
        while piece := sock.recv(64 * KIB):
            got += piece
    except ConnectionResetError:
        return got
    return got


@pytest.mark.req("OC-CTRL-2045")
@pytest.mark.parametrize("sent", [b"", b"GET /v1/cap", HEAD[:-2]], ids=["nothing", "half-a-line", "half-a-head"])
def test_a_connection_without_a_whole_head_is_closed(tmp_path: Path, sent: bytes) -> None:
    with limited(tmp_path, idle_ms=300) as (_, url), connection(url) as sock:
        sock.sendall(sent)

        assert b"" == rest(sock)


@pytest.mark.req("OC-CTRL-2045")
def test_a_head_that_trickles_is_no_reason_to_wait_longer(tmp_path: Path) -> None:
    with limited(tmp_path, idle_ms=500) as (_, url), connection(url) as sock:
        sock.settimeout(0.05)
        for byte in HEAD:
            try:
                sock.sendall(bytes([byte]))
                if sock.recv(1) == b"":
                    return
            except TimeoutError:
                continue
            except (ConnectionResetError, BrokenPipeError):
                return
        pytest.fail("the whole head was taken, byte by byte")


@pytest.mark.req("OC-CTRL-2045")
def test_a_connection_is_kept_between_requests_and_closed_when_it_is_idle(tmp_path: Path) -> None:
    with limited(tmp_path, idle_ms=300) as (_, url), connection(url) as sock:
        for _ in range(2):
            sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert sock.recv(KIB).startswith(b"HTTP/1.1 200")

        assert b"" == rest(sock)


@pytest.mark.req("OC-CTRL-2045")
def test_a_body_that_does_not_come_is_refused(tmp_path: Path) -> None:
    with limited(tmp_path, body_ms=300) as (_, url), connection(url) as sock:
        sock.sendall(HEAD + b'{"task_id":')
        answer = rest(sock)

    assert answer.startswith(b"HTTP/1.1 408")
    assert "REQUEST_TIMEOUT" == json.loads(answer.partition(b"\r\n\r\n")[2])["code"]


@pytest.mark.req("OC-CTRL-2046")
def test_a_stream_reader_that_takes_nothing_is_dropped(tmp_path: Path) -> None:
    with limited(tmp_path, slow_reader_ms=1_500) as (process, url):  # it holds for the readers that do take it, too
        task_id = long_task(url)
        with stalled_reader(url, task_id) as sock:
            until_logged(process, f"a reader of task {task_id} took nothing for 1500 ms and was dropped")
            seen = rest(sock)
        whole = call(f"{url}/v1/tasks/{task_id}/stream")

    assert b"event: end" not in seen
    assert b"event: end" in whole


@pytest.mark.req("OC-CTRL-2046")
def test_a_client_that_does_not_take_its_answer_is_dropped(tmp_path: Path) -> None:
    with limited(tmp_path, slow_reader_ms=300) as (process, url):
        artifact = {"kind": "other", "content": "x" * 2_000_000}
        stored = json.loads(call(f"{url}/v1/artifacts", artifact))
        with connection(url, receive_bytes=4 * KIB) as sock:
            asked = f"GET /v1/artifacts/{stored['id']} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
            sock.sendall(asked * 8)  # more than the socket buffers of both ends hold
            until_logged(process, "a client took nothing of its answer for 300 ms and was cut off")
            seen = rest(sock)

    assert 0 < len(seen) < 8 * 2_000_000


@pytest.mark.req("OC-CTRL-2046")
def test_a_stalled_reader_costs_at_most_256_kib(tmp_path: Path) -> None:
    """T20: a slow reader that cost the server its memory."""
    with limited(tmp_path, slow_reader_ms=600_000) as (process, url):
        assert bytes_a_reader(process, url) <= 256 * KIB


@pytest.mark.req("OC-TEST-7006")
def test_a_server_with_a_buffer_for_each_reader_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text(BUFFER_EACH)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with limited(tmp_path, slow_reader_ms=600_000) as (process, url):
        assert bytes_a_reader(process, url) > 256 * KIB


def bytes_a_reader(process: subprocess.Popen[str], url: str) -> float:
    """What each of many readers costs that take the head of a stream and then nothing."""
    with ExitStack() as readers:
        task_id = long_task(url)
        for _ in range(3):  # what a reader costs once, whoever it is: caches, pools of the allocator
            call(f"{url}/v1/tasks/{task_id}/stream")
        before = resident_bytes(process)
        for _ in range(READERS):
            readers.enter_context(stalled_reader(url, task_id))
        call(f"{url}/v1/tasks/{task_id}/stream")  # all of it went out to this one: the others have had their turns
        return (resident_bytes(process) - before) / READERS


def long_task(url: str) -> str:
    """A task that has ended, with more frames than sockets hold."""
    body = task(max_tokens=TOKENS, ctx=2 * TOKENS, prompt="long")
    call(f"{url}/v1/tasks", body)
    assert b"event: end" in call(f"{url}/v1/tasks/{body['task_id']}/stream")
    return str(body["task_id"])


@contextmanager
def stalled_reader(url: str, task_id: str) -> Iterator[socket.socket]:
    """A reader that has taken the head of its stream and then nothing."""
    with connection(url, receive_bytes=4 * KIB) as sock:
        sock.sendall(f"GET /v1/tasks/{task_id}/stream HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert sock.recv(12) == b"HTTP/1.1 200"
        yield sock


def until_logged(process: subprocess.Popen[str], event: str) -> None:
    """Return when the server has logged this; a server that never does is ended by the test's timeout."""
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(json.loads(line)["event"])
        if seen[-1] == event:
            return
    pytest.fail(f"the server ended without {event!r}; it logged {seen}")


def resident_bytes(process: subprocess.Popen[str]) -> int:
    """Memory of the server's process, from the kernel."""
    return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * 4 * KIB

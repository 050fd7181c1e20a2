"""The proxy and its troubles, on real sockets: what passes, what does not, and nothing is lost that was not cut."""

import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from chaos.faults.cut import Cut
from chaos.faults.delay import Delay
from chaos.faults.drop import Drop
from chaos.faults.fault import Kind
from chaos.faults.half_close import HalfClose
from chaos.faults.network import NetworkFault
from chaos.faults.slice import Slice
from chaos.judge import judge
from chaos.proxy import FrameCounter, Proxy
from chaos.record import Recorder
from chaos.run import deal
from chaos.scene import Scene
from chaos.schedule import Planned
from chaos.tests.story import Story
from chaos.workloads.registry import WORKLOADS

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
FRAME = b'event: token\nid: 1\ndata: {"t":"\xe6\xb0\xb4","i":0}\n\n'
REQUEST = b"GET /v1/tasks/x/stream HTTP/1.1\r\nHost: x\r\n\r\n"
FRAMES = 40
WAIT_S = 10.0
LATE_S = 0.1


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


ANSWER = HEAD + chunk(FRAME) * FRAMES + b"0\r\n\r\n"


@contextmanager
def streaming() -> Iterator[str]:
    """A server that sends one answer, a frame at a time, to each connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    sock, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=_answer, args=(sock,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def _answer(sock: socket.socket) -> None:
    with sock:
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            asked = b""
            while not asked.endswith(b"\r\n\r\n"):  # all of it: what is left unread would reset the connection
                asked += sock.recv(65536) or b"\r\n\r\n"
            sock.sendall(HEAD)
            for _ in range(FRAMES):
                sock.sendall(chunk(FRAME))
            sock.sendall(b"0\r\n\r\n")
        except OSError:
            return


def fetch(url: str) -> tuple[bytes, str]:
    """What comes, and how it ends."""
    got = b""
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=WAIT_S) as sock:
        sock.sendall(REQUEST)
        try:
            while data := sock.recv(65536):
                got += data
        except ConnectionError:
            return got, "reset"
    return got, "closed"


def troubled(proxy: Proxy, make: Callable[[], NetworkFault]) -> NetworkFault:
    """A trouble in the proxy, with the run's randomness."""
    fault = make()
    fault.rng = random.Random(3)
    proxy.trouble = fault
    return fault


def test_without_trouble_every_byte_passes() -> None:
    with streaming() as url, Proxy(url) as proxy:
        assert (ANSWER, "closed") == fetch(proxy.url)


@pytest.mark.parametrize("kind", [Delay, Slice], ids=["delay", "slice"])
def test_a_trouble_that_only_slows_down_loses_nothing(kind: type[NetworkFault]) -> None:
    with streaming() as url, Proxy(url) as proxy:
        fault = troubled(proxy, lambda: kind("clients"))

        assert (ANSWER, "closed") == fetch(proxy.url)
        assert fault.hits > 0


def test_a_cut_resets_a_stream_after_some_frames() -> None:
    with streaming() as url, Proxy(url) as proxy:
        fault = troubled(proxy, lambda: Cut("clients"))
        ends = [fetch(proxy.url) for _ in range(10)]

    cut = [got for got, how in ends if how == "reset"]
    assert len(cut) == fault.hits > 0
    assert all(len(got) < len(ANSWER) for got in cut)


def test_a_black_hole_lets_nothing_through_and_then_everything() -> None:
    with streaming() as url, Proxy(url) as proxy:
        fault = troubled(proxy, lambda: Drop("clients"))
        assert isinstance(fault, Drop)
        results: list[tuple[bytes, str]] = []
        reading = threading.Thread(target=lambda: results.append(fetch(proxy.url)))
        reading.start()
        while not fault.hits:
            reading.join(0.01)
        assert ([], True) == (results, reading.is_alive())

        proxy.trouble = None
        proxy.call_soon(fault._healed.set)
        reading.join(WAIT_S)

    assert [(ANSWER, "closed")] == results


def test_a_half_closed_connection_ends_early_and_in_order() -> None:
    with streaming() as url, Proxy(url) as proxy:
        fault = troubled(proxy, lambda: HalfClose("clients"))
        ends = [fetch(proxy.url) for _ in range(10)]

    assert fault.hits > 0
    assert any(len(got) < len(ANSWER) for got, _ in ends)
    assert all(ANSWER.startswith(got) for got, _ in ends)


def dealt(proxy: Proxy, folder: Path, fault: NetworkFault) -> dict[str, object]:
    """What a run writes down of a blow that is to last no longer than it takes to hit."""
    recorder = Recorder(folder / "history.jsonl")
    scene = Scene(WORKLOADS["mixed"], cast("Any", None), cast("Any", None), recorder, front=proxy)
    kind = Kind(name="it", about="", make=lambda: fault, hold_ms=(0, 0), where="clients")
    deal(scene, Planned(kind, 0, 0, "a blow"), lambda _: None)
    recorder.close()
    (written,) = recorder.records
    return written


@pytest.mark.req("OC-TEST-7050")
@pytest.mark.parametrize("kind", [Cut, Delay, Drop, HalfClose, Slice], ids=lambda kind: str(kind.__name__))
def test_a_blow_waits_for_what_comes_later_than_it_was_to_last(tmp_path: Path, kind: type[NetworkFault]) -> None:
    with streaming() as url, Proxy(url) as proxy:

        def come() -> None:
            while not fault.hits:
                fetch(proxy.url)

        fault = kind("clients")
        late = threading.Timer(LATE_S, come)
        late.start()
        written = dealt(proxy, tmp_path, fault)
        late.join(WAIT_S)

    assert cast("int", written["hits"]) > 0
    assert proxy.trouble is None


@pytest.mark.req("OC-TEST-7050")
def test_a_blow_that_nothing_comes_to_has_missed_and_its_run_is_unknown(tmp_path: Path) -> None:
    with streaming() as url, Proxy(url) as proxy:
        written = dealt(proxy, tmp_path, Delay("clients", hit_s=0.05))

    story = Story.of(faults=["it"]).over()
    story.records.append(written)
    assert ("unknown", ("the fault it did not hit",)) == (judge(story.records).outcome, judge(story.records).doubts)


@pytest.mark.parametrize("size", [1, 7, 1000, 100_000], ids=lambda size: f"{size}-bytes")
def test_frames_are_counted_at_any_slicing(size: int) -> None:
    counter = FrameCounter()
    for start in range(0, len(ANSWER), size):
        counter.feed(ANSWER[start : start + size])

    assert FRAMES == counter.count


@pytest.mark.parametrize("noise", [b"\x00\xff" * 40, b"HTTP/9 what\r\n\r\n", HEAD + chunk(b"data: \xff\n\n")])
def test_noise_counts_as_no_frame(noise: bytes) -> None:
    counter = FrameCounter()
    counter.feed(noise)
    counter.feed(noise)

    assert 0 == counter.count

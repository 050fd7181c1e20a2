"""Clients: each a thread that runs its errands one after the other, and writes down everything it sends and sees.

A client waits on its sockets and on the run's end, never on a clock alone. It does not give up on a task that was not
answered: the same request goes out again when the server lives again, as any client's would (ORCH-2012).
"""

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import httpx

from chaos.scene import Scene
from chaos.workloads.workload import Errand
from harness.client import Client
from harness.history import Exchange, History, now_ms
from harness.outcome import HangError, LateError
from harness.stream_reader import StreamReader

FOLLOW_MS = 15_000  # the longest that a client follows one stream
LOOK_MS = 50.0  # between looks at what a client waits for, while nothing arrives
TRIES_MAX = 6
RETRY_S = 0.1


class Caller:
    """Speaks to the server of a run, whichever life of it, under one name."""

    def __init__(self, scene: Scene, who: str) -> None:
        self.scene = scene
        self.who = who
        self._client: Client | None = None
        self._slow: set[int] = set()

    @property
    def client(self) -> Client:
        """For the present address."""
        url = self.scene.entrance
        if self._client is None or self._client.url != url:
            self.close()
            self._client = Client(url, token=self.scene.server.token, history=History())
        return self._client

    def request(self, method: str, path: str, **how: Any) -> Exchange | None:
        """One request; None when it hung, which is written down."""
        return self._guarded(f"{method} {path}", lambda: self.client.request(method, path, **how))

    def cancel(self, task_id: str) -> Exchange | None:
        """Cancel a task; readers of this caller mark what had left the server by then."""
        return self._guarded("cancel", lambda: self.client.cancel(task_id))

    def submit(self, body: dict[str, Any]) -> Exchange | None:
        """Submit a task until there is an answer, or the server stays away."""
        for attempt in range(TRIES_MAX):
            answer = self.request("POST", "/v1/tasks", json=self.scene.body(body))
            if answer is None or answer.status:
                if answer is not None and answer.status == 202:
                    self.scene.opened(body["task_id"], body["priority"])
                return answer
            self.scene.server.wait_up()
            if attempt:
                self.scene.over.wait(RETRY_S)
        return None

    def open(self, task_id: str, *, after: str | None = None) -> StreamReader | None:
        """Begin to read a task; None when nobody answers."""
        try:
            return self.client.start_stream(task_id, after=after)
        except OSError:
            self.scene.server.wait_up()
            return None

    def follow(self, reader: StreamReader, enough: Callable[[], bool] = lambda: False) -> None:
        """Read until the stream ends, `enough` says so, or it takes too long."""
        until_ms = now_ms() + FOLLOW_MS
        while reader.is_open and not enough() and now_ms() < until_ms:
            self._pump_all(LOOK_MS)

    def follow_all(self, readers: Sequence[StreamReader]) -> None:
        """Read until all these streams end, or it takes too long."""
        until_ms = now_ms() + FOLLOW_MS
        while any(reader.is_open for reader in readers) and now_ms() < until_ms:
            self._pump_all(LOOK_MS)

    def dawdle(self, reader: StreamReader, seconds: float) -> None:
        """Read nothing for a while."""
        self._slow.add(id(reader.record))
        self.scene.over.wait(seconds)

    def flush(self) -> None:
        """Write down what was seen, and leave what is still open."""
        if self._client is None:
            return
        client, history = self._client, self._client.history
        for reader in client.readers:
            reader.leave()
        for exchange in history.exchanges:
            self.scene.recorder.exchange(self.who, exchange)
        for stream in history.streams:
            if stream.terminal is not None:
                self.scene.closed(stream.task_id)
            is_slow = id(stream) in self._slow
            self.scene.recorder.stream(self.who, stream, is_direct=self.scene.front is None, is_slow=is_slow)
        client.readers.clear()
        history.exchanges.clear()
        history.streams.clear()
        self._slow.clear()

    def close(self) -> None:
        """Write down what is left, and close the connections."""
        self.flush()
        if self._client is not None:
            self._client.close()
            self._client = None

    def _pump_all(self, wait_ms: float) -> None:
        assert self._client is not None  # noqa: S101 - a reader was opened with it
        self._client.pump(wait_ms=wait_ms)

    def _guarded(self, what: str, send: Callable[[], Exchange]) -> Exchange | None:
        try:
            return send()
        except HangError as error:
            self.scene.recorder.add("hang", who=self.who, what=str(error), at_ms=self.scene.recorder.now())
        except (OSError, httpx.HTTPError, LateError) as error:
            told = f"{what}: {type(error).__name__}"
            self.scene.recorder.add("unsent", who=self.who, what=told, at_ms=self.scene.recorder.now())
        return None


class Worker(threading.Thread):
    """Runs errands until the run's faults are over."""

    def __init__(self, scene: Scene, number: int, errands: Iterator[Errand]) -> None:
        super().__init__(name=f"client-{number}", daemon=True)
        self.failure: BaseException | None = None
        self._scene = scene
        self._errands = errands
        self._caller = Caller(scene, f"c{number}")

    def run(self) -> None:
        """One errand after the other."""
        try:
            for errand in self._errands:
                if self._scene.over.wait(errand.pause_ms / 1000):
                    break
                run_errand(self._caller, errand)
                self._caller.flush()
        except BaseException as defect:  # noqa: BLE001 - a defect of ours makes the run unknown, and is shown
            self.failure = defect
        finally:
            self._caller.close()


def run_errand(caller: Caller, errand: Errand) -> None:
    """All of one errand."""
    task_id = errand.body["task_id"]
    answer = caller.submit(errand.body)
    if answer is None or answer.status != 202:
        return
    match errand.then:
        case "go":
            return
        case "cancel-unread":
            caller.cancel(task_id)
        case "twice":
            caller.submit(errand.body)
            _read(caller, errand, task_id)
        case _:
            _read(caller, errand, task_id)


def _read(caller: Caller, errand: Errand, task_id: str) -> None:
    reader = caller.open(task_id)
    if reader is None:
        return
    stream = reader.record

    def has_enough() -> bool:
        return len(stream.tokens) >= errand.after

    match errand.then:
        case "vanish":
            reader.leave("reset")
        case "dawdle":
            caller.dawdle(reader, 0.5)
            caller.follow(reader)
        case "leave":
            caller.follow(reader, has_enough)
            reader.leave(errand.how)
        case "come-back":
            caller.follow(reader, has_enough)
            reader.leave(errand.how)
            again = caller.open(task_id, after=stream.frames[-1].id if stream.frames else None)
            if again is not None:
                caller.follow(again)
        case "cancel-at-once":
            caller.cancel(task_id)
            caller.follow(reader)
        case "cancel":
            caller.follow(reader, has_enough)
            caller.cancel(task_id)
            caller.follow(reader)
        case _:
            caller.follow(reader)


def draw_errands(
    workload_seed: int, number: int, draw: Callable[[random.Random, int], Iterator[Errand]]
) -> Iterator[Errand]:
    """The errands of one client: they follow from the run's seed and its number alone."""
    return draw(random.Random(f"{workload_seed}/client/{number}"), number)

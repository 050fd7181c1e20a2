"""Where a run takes place: the server, its engines, the proxies, and the open tasks. Faults and clients share it."""

import random
import threading
from dataclasses import dataclass, field
from typing import Any, Literal

from chaos.engines import Engines
from chaos.proxy import Proxy
from chaos.record import Recorder
from chaos.server import ChaosServer
from chaos.workloads.workload import Workload

Where = Literal["clients", "engine"]


@dataclass
class Scene:
    """One run's parts.

    Attributes:
        front: before the server, when a fault is to strike between it and its clients.
        back: before the engine, likewise.
        offer: `engine` and `model_ref`, as the server tells them.
        pool_id: of the pool that is loaded.
        over: set when clients should come to an end.
    """

    workload: Workload
    server: ChaosServer
    engines: Engines
    recorder: Recorder
    front: Proxy | None = None
    back: Proxy | None = None
    offer: dict[str, str] = field(default_factory=dict)
    pool_id: str = "default"
    over: threading.Event = field(default_factory=threading.Event)
    _open: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def entrance(self) -> str:
        """The address for clients."""
        if self.front is None:
            return self.server.url
        self.front.upstream = self.server.url
        return self.front.url

    def proxy(self, where: Where) -> Proxy:
        """The proxy before the server or before its engine."""
        found = self.front if where == "clients" else self.back
        assert found is not None, "the run puts a proxy where one of its faults wants it"  # noqa: S101
        return found

    def body(self, body: dict[str, Any]) -> dict[str, Any]:
        """A task for this server."""
        return {**body, **self.offer}

    # ── tasks that others may touch ──

    def opened(self, task_id: str, priority: str) -> None:
        """A task was admitted."""
        with self._lock:
            self._open[task_id] = priority

    def closed(self, task_id: str) -> None:
        """Its client has seen its end."""
        with self._lock:
            self._open.pop(task_id, None)

    def open_in(self, priority: str) -> list[str]:
        """Tasks of a priority that may still be open."""
        with self._lock:
            return [task_id for task_id, its in self._open.items() if its == priority]

    def some_open(self, rng: random.Random, count: int) -> list[str]:
        """Tasks that may still be open, at most so many, drawn from the newest."""
        with self._lock:
            newest = list(self._open)[-4 * count :]
        return rng.sample(newest, min(count, len(newest)))

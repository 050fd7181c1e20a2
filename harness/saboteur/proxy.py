"""The proxy that carries the defects: one request a connection, streams frame by frame, nothing held back."""

import asyncio
import threading
from contextlib import suppress
from urllib.parse import urlsplit

import httpx

from harness import trust
from harness.saboteur.connection import Connection
from harness.saboteur.defect import Defect, Front, Wire

START_S = 10.0


class Saboteur:
    """Stands before any number of servers, in one thread, and plants one defect at a time in all of them.

    Attributes:
        planted: None = everything passes unharmed.
    """

    def __init__(self) -> None:
        self.planted: Wire | None = None
        self._loop = asyncio.new_event_loop()
        self._http = httpx.Client(trust_env=False, verify=trust.tls(), timeout=START_S)
        self._servers: list[asyncio.Server] = []
        self._running: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="saboteur", daemon=True)
        self._thread.start()

    def front(self, upstream: str) -> str:
        """The address to speak to in place of this server."""
        return asyncio.run_coroutine_threadsafe(self._open(upstream), self._loop).result(START_S)

    def plant(self, defect: Defect) -> Wire:
        """From the next connection on, this is wrong."""
        self.planted = Wire(defect)
        return self.planted

    def lift(self) -> None:
        """Everything passes unharmed again, and nothing that a client was not told of is left to run."""
        wire, self.planted = self.planted, None
        for front, task_id in wire.admitted if wire is not None else ():
            headers = {"Authorization": f"Bearer {front.token}"}
            with suppress(httpx.HTTPError):  # a server of the scenario's own may be gone
                self._http.post(f"http://{front.host}:{front.port}/v1/tasks/{task_id}/cancel", headers=headers)

    def close(self) -> None:
        """End all connections and the thread."""
        self._http.close()
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(START_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(START_S)
        self._loop.close()

    async def _open(self, upstream: str) -> str:
        parts = urlsplit(upstream)
        front = Front(parts.hostname or "", parts.port or 80)

        async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None  # noqa: S101 - asyncio runs callbacks of streams in tasks
            self._running.add(task)
            wire = self.planted
            try:
                await Connection(front, wire, reader, writer).run()
            except (OSError, asyncio.CancelledError):
                writer.transport.abort()
            except Exception as error:  # noqa: BLE001 - a mistake of ours must not look like one of the server's
                writer.transport.abort()
                if wire is not None:
                    wire.broken = f"the proxy: {type(error).__name__}: {error}"
            finally:
                self._running.discard(task)

        server = await asyncio.start_server(accepted, "127.0.0.1", 0, backlog=512)
        self._servers.append(server)
        host, port = server.sockets[0].getsockname()[:2]
        return f"http://{host}:{port}"

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)


PLAIN = Defect("none", (), "Nothing is wrong.", "", "answers", lambda *_: None)
"""The control: through the same proxy, unharmed."""

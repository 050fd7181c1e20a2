"""A proxy in front of an honest server that makes it a cheater: what the haiku has to notice."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector, web

HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "content-encoding", "host", "date", "server"}

Event = dict[str, str]


class Fault:
    """Changes nothing: the control. Faults override what they break."""

    def request(self, headers: dict[str, str]) -> None:
        """Change what the server is asked."""

    def status(self, path: str, status: int) -> int:
        """Change the status of an answer."""
        return status

    def headers(self, headers: dict[str, str]) -> None:
        """Change the headers of an answer."""

    def body(self, path: str, body: bytes) -> bytes:
        """Change the body of an answer."""
        return body

    async def events(self, events: AsyncIterator[Event]) -> AsyncIterator[Event]:
        """Change the events of a stream."""
        async for event in events:
            yield event


@dataclass
class Proxy:
    """Answers with what `target` answers, as far as `fault` leaves it alone."""

    target: str
    fault: Fault
    url: str = ""
    _session: ClientSession | None = field(default=None, init=False)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        self.fault.request(headers)
        assert self._session is not None
        url = f"{self.target}{request.raw_path}"
        body = await request.read()
        async with self._session.request(
            request.method, url, headers=headers, data=body or None, allow_redirects=False, skip_auto_headers=["Accept"]
        ) as answer:
            given = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}
            self.fault.headers(given)
            status = self.fault.status(request.path, answer.status)
            if answer.content_type != "text/event-stream":
                content = self.fault.body(request.path, await answer.read())
                return web.Response(status=status, headers=given, body=content or None)
            response = web.StreamResponse(status=status, headers=given)
            await response.prepare(request)
            async for event in self.fault.events(_events(answer.content.iter_any())):
                text = "".join(f"{name}: {value}\n" for name, value in event.items())
                await response.write(text.encode() + b"\n")
            await response.write_eof()
            return response

    async def run(self, ready: threading.Event, stop: asyncio.Event) -> None:
        connector, timeout = TCPConnector(limit=0), ClientTimeout(total=None)
        async with ClientSession(connector=connector, timeout=timeout, cookie_jar=DummyCookieJar()) as self._session:
            app = web.Application(client_max_size=2**30)
            app.router.add_route("*", "/{path:.*}", self.handle)
            runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            ready.set()
            await stop.wait()
            await runner.cleanup()


async def _events(chunks: AsyncIterator[bytes]) -> AsyncIterator[Event]:
    rest = b""
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n\n")
        for text in whole:
            yield dict(line.split(": ", 1) for line in text.decode().splitlines() if not line.startswith(":"))


@contextmanager
def sabotaged(target: str, fault: Fault) -> Iterator[str]:
    """The address of a bad server in front of a good one."""
    proxy, ready, loop = Proxy(target, fault), threading.Event(), asyncio.new_event_loop()
    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(proxy.run(ready, stop)), daemon=True)
    thread.start()
    assert ready.wait(5)
    try:
        yield proxy.url
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(timeout=5)
        loop.close()

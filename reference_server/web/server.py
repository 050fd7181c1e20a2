"""The HTTP edge: routes, and a server that answers in the envelope even where a request is too broken for a handler.

`handler_cancellation=True` is set here, explicitly: a client that leaves ends its handler, and with it only its own
subscription (architecture rule 8).
"""

import asyncio
import logging
import uuid
from collections.abc import Callable
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage
from aiohttp.typedefs import Middleware
from aiohttp.web_protocol import RequestHandler

from reference_server.config import Config, Current
from reference_server.runtime.model_files import ModelFiles
from reference_server.runtime.orchestrator import Orchestrator
from reference_server.store.documents import Documents
from reference_server.telemetry.metrics import Metrics
from reference_server.web import artifacts, catalog, discovery, sessions, status, stream, tasks
from reference_server.web.errors import raw_envelope
from reference_server.web.hosts import known_hosts
from reference_server.web.keys import CONFIG, DOCUMENTS, METRICS, MODEL_FILES, ORCHESTRATOR
from reference_server.web.middleware import CORRELATION, authenticated, correlated

LINGER_S = 2.0  # how long the rest of a refused body is read, so that its sender sees the answer and no reset
HEADER_LINE_MAX = 8 * 1024  # as nginx and others have it

log = logging.getLogger(__name__)


def build(
    orchestrator: Orchestrator, current: Current, metrics: Metrics, documents: Documents, *, token: str | None
) -> web.Application:
    """The application with all its routes."""
    http = current.config.http
    open_paths = {"/"} | ({"/healthz"} if http.liveness_open else set())
    open_paths |= {"/metrics"} if http.metrics_open else set()
    app = web.Application(
        middlewares=[
            correlated,
            *_host_checks(current.config, token),
            authenticated(token, open_paths=frozenset(open_paths)),
        ],
        client_max_size=http.body_bytes_max,
    )
    app[ORCHESTRATOR], app[CONFIG], app[METRICS] = orchestrator, current, metrics
    app[DOCUMENTS], app[MODEL_FILES] = documents, ModelFiles(current.config.model_folders)
    app.router.add_post("/v1/tasks", tasks.submit)
    app.router.add_get("/v1/tasks/{id}", tasks.status, allow_head=False)
    app.router.add_get("/v1/tasks/{id}/stream", stream.stream, allow_head=False)
    app.router.add_post("/v1/tasks/{id}/cancel", tasks.cancel)
    app.router.add_get("/v1/sessions/{id}", sessions.read, allow_head=False)
    app.router.add_delete("/v1/sessions/{id}", sessions.delete)
    app.router.add_get("/v1/capabilities", discovery.capabilities, allow_head=False)
    app.router.add_get("/v1/pools/{id}/health", discovery.pool_health, allow_head=False)
    app.router.add_post("/v1/pools/{id}/drain", discovery.drain)
    app.router.add_post("/v1/pools/{id}/reload", discovery.reload)
    app.router.add_post("/v1/catalog/models", catalog.create)
    app.router.add_get("/v1/catalog/models/{id}", catalog.read, allow_head=False)
    app.router.add_delete("/v1/catalog/models/{id}", catalog.delete)
    app.router.add_post("/v1/catalog/models/{id}/verify", catalog.verify)
    app.router.add_post("/v1/catalog/models/{id}/state", catalog.set_state)
    app.router.add_post("/v1/artifacts", artifacts.create)
    app.router.add_get("/v1/artifacts/{id}", artifacts.read, allow_head=False)
    app.router.add_get("/v1/status", status.status, allow_head=False)
    app.router.add_get("/", status.page, allow_head=False)
    app.router.add_get("/healthz", discovery.liveness, allow_head=False)
    app.router.add_get("/metrics", discovery.metrics, allow_head=False)
    return app


def _host_checks(config: Config, token: str | None) -> list[Middleware]:
    """None where a token keeps strangers' pages out and no names were given."""
    names = config.http.allowed_hosts
    return [known_hosts((*names, config.host))] if names or token is None else []


class EnvelopeHandler(RequestHandler):
    """A connection whose protocol errors are answered in the error envelope, and logged without what was sent.

    A client that does not take its answer is cut, as slow readers of streams are (OC-CTRL-2046).
    """

    def __init__(self, *parts: Any, current: Current, **settings: Any) -> None:
        super().__init__(*parts, **settings)
        self._current = current
        self.on_writable: Callable[[], None] | None = None

    def resume_writing(self) -> None:
        """The client has taken what was written."""
        super().resume_writing()
        if self.on_writable is not None:
            self.on_writable()

    async def _drain_helper(self) -> None:
        """Wait until the client takes what was written, with a limit: the one place where a write waits."""
        async with asyncio.timeout(self._current.config.http.slow_reader_ms / 1000):
            await super()._drain_helper()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer to its end, or no further than its client takes it in time."""
        try:
            return await super().finish_response(request, resp, start_time)
        except TimeoutError:
            limit_ms = self._current.config.http.slow_reader_ms
            log.warning("a client took nothing of its answer for %d ms and was cut off", limit_ms)
            if self.transport is not None:
                self.transport.abort()
            return resp, True

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer a request that could not be read; the connection closes after it."""
        del request, message  # what was sent is not repeated
        if not isinstance(exc, BadHttpMessage):
            log.error("defect below the handlers", exc_info=exc)
        text = "the request is not valid HTTP" if status < 500 else "a defect of the server; see its log"
        response = web.Response(status=status, body=raw_envelope(status, text), content_type="application/json")
        response.headers[CORRELATION] = str(uuid.uuid4())
        response.force_close()
        return response


class EnvelopeServer(web.Server):
    """Makes an `EnvelopeHandler` for each connection."""

    def __init__(self, like: web.Server, *, current: Current, **settings: Any) -> None:
        super().__init__(
            like.request_handler, request_factory=like.request_factory, handler_cancellation=True, **settings
        )
        self._current = current
        self._settings = settings

    def __call__(self) -> RequestHandler:
        """One handler for one connection."""
        return EnvelopeHandler(self, loop=asyncio.get_running_loop(), current=self._current, **self._settings)


class EnvelopeRunner(web.AppRunner):
    """An application behind an `EnvelopeServer`."""

    async def _make_server(self) -> web.Server:
        plain = await super()._make_server()
        current = self.app[CONFIG]
        return EnvelopeServer(
            plain,
            current=current,
            access_log=None,
            keepalive_timeout=current.config.http.idle_ms / 1000,  # counts until the next head is whole
            lingering_time=LINGER_S,
            max_line_size=HEADER_LINE_MAX,
            max_field_size=HEADER_LINE_MAX,
        )


async def listen(app: web.Application, *, host: str, port: int) -> tuple[web.AppRunner, int]:
    """Open the port.

    Returns:
        The runner to clean up, and the port that was bound (the free one that was found for port 0).

    Raises:
        OSError: the address cannot be bound.
    """
    runner = EnvelopeRunner(app, shutdown_timeout=2.0)
    await runner.setup()
    site = web.TCPSite(runner, host, port, backlog=1024)
    await site.start()
    return runner, runner.addresses[0][1]


__all__ = ["EnvelopeRunner", "build", "listen"]

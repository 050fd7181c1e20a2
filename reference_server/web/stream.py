"""`GET /v1/tasks/{id}/stream`: a view of the task's transcript, from any frame on.

The handler subscribes, and an `Outlet` copies; neither owns anything of the task. The connection's write buffer is
kept empty (`set_write_buffer_limits(0)`) and the kernel's small, so that a slow reader holds back itself alone, costs
little, and is seen to be slow.

Source: ORCH-2002, ORCH-3026, OC-CTRL-2020 … 2022, OC-CTRL-2046.
"""

import logging
import socket
from collections.abc import Awaitable, Callable

from aiohttp import web

from reference_server.domain.errors import RefusedError
from reference_server.domain.task import Task
from reference_server.runtime.readers import Reader
from reference_server.web import sse
from reference_server.web.errors import EdgeError
from reference_server.web.keys import CONFIG, ORCHESTRATOR
from reference_server.web.middleware import CORRELATION, CORRELATION_KEY
from reference_server.web.outlet import Connection, Outlet
from reference_server.web.tasks import budget_headers, task_of

KERNEL_BUFFER_BYTES = 64 * 1024  # Linux doubles it; left alone it lets a stalled reader hold up to 4 MiB

Told = Callable[[], Awaitable[None]]

log = logging.getLogger(__name__)


async def stream(request: web.Request) -> web.StreamResponse:
    """Send the task's frames until its terminal one."""
    task = task_of(request)
    start = first_frame_of(request, task)
    http, orchestrator = request.app[CONFIG].config.http, request.app[ORCHESTRATOR]
    with orchestrator.open_reader(task, start=start) as reader:
        if reader.is_done:
            return web.Response(status=204)  # WHATWG: 204 tells an EventSource to stop reconnecting
        response = web.StreamResponse(
            headers={
                "Content-Type": sse.CONTENT_TYPE,
                "Cache-Control": "no-store",
                "X-Accel-Buffering": "no",
                CORRELATION: request[CORRELATION_KEY],
                **budget_headers(orchestrator.core.sessions.remaining(task.request.session_id)),
            }
        )
        transport, connection = request.transport, request.protocol
        if transport is None or not isinstance(connection, Connection):
            return response
        reader.abort = transport.abort
        transport.set_write_buffer_limits(0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BUFFER_BYTES)
        await response.prepare(request)
        is_chunked = response.headers.get("Transfer-Encoding") == "chunked"
        outlet = Outlet(
            reader,
            connection,
            transport,
            is_chunked=is_chunked,
            keep_alive_s=http.keep_alive_ms / 1000,
            slow_s=http.slow_reader_ms / 1000,
        )
        try:
            await _copy(outlet, reader, response, told=request.app[ORCHESTRATOR].require_told)
        except RefusedError:
            transport.abort()  # the end is on no disk: after the next start there may be another one
        except TimeoutError:
            log.warning("a reader of task %s took nothing for %d ms and was dropped", task.id, http.slow_reader_ms)
            transport.abort()
    return response


async def _copy(outlet: Outlet, reader: Reader, response: web.StreamResponse, *, told: Told) -> None:
    """Send frames as they come; the terminal one when it will hold after a kill, too (OC-CORE-1054)."""
    await outlet.run()
    await told()
    if (rest := reader.take()) is not None:
        await response.write(sse.encode(*rest))
    await response.write_eof()


def first_frame_of(request: web.Request, task: Task) -> int:
    """Where a reconnecting client goes on: after the frame it names in `Last-Event-ID`.

    Raises:
        EdgeError: INVALID_PARAMS: not an id of this stream.
    """
    last = request.headers.get("Last-Event-ID")
    if last is None:
        return 0
    if not (last.isascii() and last.isdigit() and len(last) < 10 and int(last) < len(task.transcript)):
        raise EdgeError("INVALID_PARAMS", "Last-Event-ID is not the id of a frame of this stream")
    return int(last) + 1

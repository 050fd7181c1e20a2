"""`POST /v1/tasks`, `GET /v1/tasks/{id}`, `POST /v1/tasks/{id}/cancel`.

Source: ORCH-2001, ORCH-2003, OC-CTRL-2010, OC-CTRL-2012.
"""

import uuid

import msgspec
from aiohttp import web

from contracts.models.data import AdmissionResponse
from contracts.models.data import Task as TaskBody
from reference_server.domain import frames
from reference_server.domain.budgets import Amounts
from reference_server.domain.task import Task
from reference_server.web import body
from reference_server.web.artifacts import address, trace_of
from reference_server.web.errors import EdgeError
from reference_server.web.keys import CONFIG, ORCHESTRATOR
from reference_server.web.middleware import CORRELATION_KEY

_json = msgspec.json.Encoder()


def uuid_of(request: web.Request) -> str:
    """The id in the path, in its canonical spelling.

    Raises:
        EdgeError: INVALID_PARAMS: not a UUID.
    """
    text = request.match_info["id"]
    try:
        parsed = uuid.UUID(text)
    except ValueError:
        parsed = None
    if parsed is None or str(parsed) != text.lower():
        raise EdgeError("INVALID_PARAMS", "the id in the path is not a UUID")
    return str(parsed)


def task_of(request: web.Request) -> Task:
    """The task that the path names.

    Raises:
        EdgeError: INVALID_PARAMS or NOT_FOUND.
    """
    task = request.app[ORCHESTRATOR].core.task(uuid_of(request))
    if task is None:
        raise EdgeError("NOT_FOUND", "no such task, or its retention has ended")
    return task


async def submit(request: web.Request) -> web.Response:
    """Admit a task: 202 with its place in the queue."""
    wanted = body.task_request(await body.read(request, TaskBody), correlation_id=request[CORRELATION_KEY])
    orchestrator = request.app[ORCHESTRATOR]
    task = await orchestrator.submit(wanted)
    admission = AdmissionResponse(
        task_id=task.id,
        queue_position=task.queue_position,
        predicted_start_ms=task.predicted_start_ms,
        backoff_ms=task.backoff_ms,
    )
    left = orchestrator.core.sessions.remaining(task.request.session_id)
    headers = {"Content-Type": "application/json; charset=utf-8", **budget_headers(left)}
    return web.Response(body=_json.encode(admission), status=202, headers=headers)


def budget_headers(left: Amounts) -> dict[str, str]:
    """What is left of a session's budgets, for those that it has (OC-CTRL-2068)."""
    named = {
        "X-Budget-Tokens-Remaining": left.tokens,
        "X-Budget-Time-Remaining-Ms": left.time_ms,
        "X-Budget-Cost-Remaining": left.cost,
    }
    return {name: str(value) for name, value in named.items() if value is not None}


async def status(request: web.Request) -> web.Response:
    """The state of a task now."""
    task = task_of(request)
    core = request.app[ORCHESTRATOR].core
    if task.is_terminal:
        await request.app[ORCHESTRATOR].require_told()
    answer: dict[str, object] = {"task_id": task.id, "state": task.state, "tokens_out": task.transcript.tokens_total}
    if task.state == "queued":
        answer["queue_position"] = core.pools[task.pool_id].queue.position(task.id) or 0
        answer["predicted_start_ms"] = core.predicted_start_ms(task)
    if task.failure is not None:
        answer["error"] = frames.error(task.failure)
    if task.is_terminal and request.app[CONFIG].config.artifacts.traces:
        answer["trace"] = address(trace_of(task))
    return web.json_response(answer)


async def cancel(request: web.Request) -> web.Response:
    """Cancel a task; a second time, or after its end, changes nothing and answers the same."""
    await request.app[ORCHESTRATOR].cancel(task_of(request).id)
    return web.Response(status=204)

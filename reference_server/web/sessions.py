"""`GET` and `DELETE /v1/sessions/{id}`.

Source: ORCH-2004, ORCH-2005, ORCH-3021.
"""

from aiohttp import web

from reference_server.domain import frames
from reference_server.runtime.clock import now_ms
from reference_server.web.errors import EdgeError
from reference_server.web.keys import ORCHESTRATOR
from reference_server.web.tasks import uuid_of


async def read(request: web.Request) -> web.Response:
    """What is left of a session."""
    now = now_ms()
    session = request.app[ORCHESTRATOR].core.sessions.get(uuid_of(request), now)
    if session is None:
        raise EdgeError("NOT_FOUND", "no such session, or it has expired")
    return web.json_response(
        {
            "ttl_ms_remaining": session.expires_ms - now,
            "turns": session.turns,
            "kv_bytes": 0,
            "kv_warmth": session.kv_warm,
            **frames.budgets(session.account.remaining()),
        }
    )


async def delete(request: web.Request) -> web.Response:
    """Forget a session and its prefix cache."""
    if not request.app[ORCHESTRATOR].core.sessions.delete(uuid_of(request), now_ms()):
        raise EdgeError("NOT_FOUND", "no such session, or it has expired")
    return web.Response(status=204)

"""What every request passes: a correlation id, the token, and the one place where exceptions become answers.

Source: ORCH-3035, OC-CTRL-2040, OC-CTRL-2041, OC-CTRL-2052, ORCH-2006.
"""

import hashlib
import hmac
import logging
import os

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from reference_server.domain.errors import Failure, RefusedError
from reference_server.web.errors import EdgeError, answer, answer_of_router

CORRELATION = "X-Correlation-Id"
CORRELATION_CHARS_MAX = 128
CORRELATION_KEY = web.RequestKey("correlation_id", str)

IDS_A_DRAW = 256
_random: list[str] = []

log = logging.getLogger(__name__)


@web.middleware
async def correlated(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request its correlation id, answer whatever was raised, and put the id on the answer."""
    try:
        request[CORRELATION_KEY] = correlation_id_of(request)
        response = await handler(request)
    except EdgeError as error:
        request.setdefault(CORRELATION_KEY, fresh_id())
        response = answer(error.failure, headers=error.headers)
    except RefusedError as refusal:
        response = answer(refusal.failure)
    except web.HTTPException as error:
        response = answer_of_router(error)
    except Exception:
        log.exception("defect while answering %s", request.method)
        response = answer(Failure(code="INTERNAL", message="a defect of the server; see its log", retriable=False))
    if not response.prepared:
        response.headers[CORRELATION] = request[CORRELATION_KEY]
    return response


def fresh_id() -> str:
    """A random UUID (version 4), of randomness that is drawn for many: each draw gives the interpreter's lock away."""
    if not _random:
        drawn = os.urandom(16 * IDS_A_DRAW).hex()
        _random.extend(drawn[start : start + 32] for start in range(0, len(drawn), 32))
    digits = _random.pop()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def correlation_id_of(request: web.Request) -> str:
    """The id the client sent, or a fresh one.

    Raises:
        EdgeError: INVALID_PARAMS: sent twice, too long, or not printable ASCII.
    """
    sent = request.headers.getall(CORRELATION, [])
    if not sent:
        return fresh_id()
    value = sent[0]
    is_printable = value.isascii() and value.isprintable()
    if len(sent) > 1 or not 1 <= len(value) <= CORRELATION_CHARS_MAX or not is_printable:
        raise EdgeError(
            "INVALID_PARAMS",
            f"{CORRELATION} must be one value of 1 to {CORRELATION_CHARS_MAX} printable ASCII characters",
        )
    return value


def authenticated(token: str | None, *, open_paths: frozenset[str]) -> Middleware:
    """A middleware that lets through only requests with the token; without a configured token, all.

    Args:
        open_paths: paths that need no token.
    """
    expected = hashlib.sha256((token or "").encode()).digest()

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if token is not None and request.path not in open_paths:
            scheme, _, sent = request.headers.get("Authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not sent.strip():
                challenge = {"WWW-Authenticate": 'Bearer realm="orchqueue"'}
                raise EdgeError(
                    "UNAUTHENTICATED", "send the API token as 'Authorization: Bearer TOKEN'", headers=challenge
                )
            # Digests have one length: comparing them tells nothing of the token's.
            given = hashlib.sha256(sent.strip().encode("utf-8", "surrogateescape")).digest()
            if not hmac.compare_digest(expected, given):
                raise EdgeError("FORBIDDEN", "the API token is wrong")
        return await handler(request)

    return check

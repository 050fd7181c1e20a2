"""Every error answer of the server: one envelope, made in one place.

    EdgeError     the edge itself refuses a request: not JSON, too large, no token, unknown id

Source: ORCH-2006, ORCH-2007, OC-CTRL-2030 … 2032.
"""

import json
import math

from aiohttp import web

from contracts.models.errors import ERRORS
from reference_server.domain.errors import Failure

# By status, for what aiohttp's router and reader refuse by themselves.
CODE_OF_STATUS = {
    400: "INVALID_PARAMS",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    408: "REQUEST_TIMEOUT",
    413: "PAYLOAD_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
}


class EdgeError(Exception):
    """A request that the edge refuses.

    Attributes:
        headers: sent with the answer, for example `WWW-Authenticate`.
    """

    def __init__(self, code: str, message: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.failure = Failure(code=code, message=message, retriable=ERRORS[code].retriable)
        self.headers = headers or {}


def answer(failure: Failure, *, headers: dict[str, str] | None = None, status: int | None = None) -> web.Response:
    """The envelope of a failure, with the status and the headers that its code demands."""
    envelope: dict[str, object] = {"code": failure.code, "message": failure.message}
    for name in ("engine", "pool_id", "retriable", "retry_after_ms", "policy_label"):
        value = getattr(failure, name)
        if value is not None:
            envelope[name] = value
    response = web.json_response(envelope, status=status or ERRORS[failure.code].http, headers=headers)
    if failure.retry_after_ms is not None:
        response.headers["Retry-After"] = str(math.ceil(failure.retry_after_ms / 1000))
        response.headers["X-Backoff-Ms"] = str(failure.retry_after_ms)
    return response


def answer_of_router(error: web.HTTPException) -> web.Response:
    """What aiohttp raised by itself (unknown path, wrong method, body over the limit), in our envelope."""
    code = CODE_OF_STATUS.get(error.status, "INVALID_PARAMS" if error.status < 500 else "INTERNAL")
    headers = {name: error.headers[name] for name in ("Allow",) if name in error.headers}
    failure = Failure(code=code, message=error.reason or code, retriable=ERRORS[code].retriable)
    return answer(failure, headers=headers, status=error.status)


def raw_envelope(status: int, message: str) -> bytes:
    """The envelope for a request so broken that it has no handler."""
    code = CODE_OF_STATUS.get(status, "INVALID_PARAMS" if status < 500 else "INTERNAL")
    return json.dumps({"code": code, "message": message, "retriable": ERRORS[code].retriable}).encode()

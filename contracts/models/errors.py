"""Generated from contracts/errors.yaml by `python -m tools gen`. Do not edit."""

from typing import NamedTuple


class ErrorRule(NamedTuple):
    """What the registry says of one code; `http` is 500 where a code only ends streams."""

    http: int
    retriable: bool


ERRORS = {
    "INVALID_PARAMS": ErrorRule(http=400, retriable=False),
    "DEADLINE_UNMET": ErrorRule(http=400, retriable=False),
    "UNTRUSTED_ARTIFACT": ErrorRule(http=400, retriable=False),
    "UNAUTHENTICATED": ErrorRule(http=401, retriable=False),
    "FORBIDDEN": ErrorRule(http=403, retriable=False),
    "NOT_FOUND": ErrorRule(http=404, retriable=False),
    "METHOD_NOT_ALLOWED": ErrorRule(http=405, retriable=False),
    "REQUEST_TIMEOUT": ErrorRule(http=408, retriable=True),
    "CONFLICT": ErrorRule(http=409, retriable=False),
    "MODEL_DEPRECATED": ErrorRule(http=409, retriable=False),
    "PAYLOAD_TOO_LARGE": ErrorRule(http=413, retriable=False),
    "UNSUPPORTED_MEDIA_TYPE": ErrorRule(http=415, retriable=False),
    "ADMISSION_REJECT": ErrorRule(http=429, retriable=True),
    "QUEUE_FULL_DROP_LRU": ErrorRule(http=429, retriable=True),
    "CANCELED": ErrorRule(http=500, retriable=False),
    "INTERNAL": ErrorRule(http=500, retriable=False),
    "WORKER_RESET": ErrorRule(http=502, retriable=True),
    "POOL_UNREADY": ErrorRule(http=503, retriable=True),
    "POOL_UNAVAILABLE": ErrorRule(http=503, retriable=True),
    "REPLICA_EXHAUSTED": ErrorRule(http=503, retriable=True),
    "DECODE_TIMEOUT": ErrorRule(http=504, retriable=True),
}

__all__ = [
    "ERRORS",
    "ErrorRule",
]

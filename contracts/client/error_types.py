"""Generated from contracts/errors.yaml by `python -m tools gen`. Do not edit."""

from contracts.client.failures import ApiError


class InvalidParamsError(ApiError):
    """The request is not what the contract says: not JSON, unknown or missing field, bad UUID, ctx above the limit, infeasible token budget, unknown engine, model or workload."""

    CODE = "INVALID_PARAMS"
    RETRIABLE = False


class DeadlineUnmetError(ApiError):
    """The deadline is no deadline, is shorter than the predicted start and decode, or passed while the task was queued."""

    CODE = "DEADLINE_UNMET"
    RETRIABLE = False


class UntrustedArtifactError(ApiError):
    """The trust policy refuses a catalog entry."""

    CODE = "UNTRUSTED_ARTIFACT"
    RETRIABLE = False


class UnauthenticatedError(ApiError):
    """No token was sent."""

    CODE = "UNAUTHENTICATED"
    RETRIABLE = False


class ForbiddenError(ApiError):
    """The token is wrong, the Host or Origin is not allowed, or a policy plugin refused the task."""

    CODE = "FORBIDDEN"
    RETRIABLE = False


class NotFoundError(ApiError):
    """Nothing of this id or path, or no longer."""

    CODE = "NOT_FOUND"
    RETRIABLE = False


class MethodNotAllowedError(ApiError):
    """The path has no such method."""

    CODE = "METHOD_NOT_ALLOWED"
    RETRIABLE = False


class RequestTimeoutError(ApiError):
    """The request did not arrive in time."""

    CODE = "REQUEST_TIMEOUT"
    RETRIABLE = True


class ConflictError(ApiError):
    """The id was used with another body."""

    CODE = "CONFLICT"
    RETRIABLE = False


class ModelDeprecatedError(ApiError):
    """The model is Retired and takes no new sessions."""

    CODE = "MODEL_DEPRECATED"
    RETRIABLE = False


class PayloadTooLargeError(ApiError):
    """The body is over the limit."""

    CODE = "PAYLOAD_TOO_LARGE"
    RETRIABLE = False


class UnsupportedMediaTypeError(ApiError):
    """The body is not application/json."""

    CODE = "UNSUPPORTED_MEDIA_TYPE"
    RETRIABLE = False


class AdmissionRejectError(ApiError):
    """The queue is full, the token is throttled, the session has spent its turns or budget, or the pool sheds batch tasks."""

    CODE = "ADMISSION_REJECT"
    RETRIABLE = True


class QueueFullDropLruError(ApiError):
    """Under drop-lru: nothing could be dropped for this priority; also the end of a task that was dropped."""

    CODE = "QUEUE_FULL_DROP_LRU"
    RETRIABLE = True


class CanceledError(ApiError):
    """The task was canceled; ends a stream."""

    CODE = "CANCELED"
    RETRIABLE = False


class InternalError(ApiError):
    """A defect of the server."""

    CODE = "INTERNAL"
    RETRIABLE = False


class WorkerResetError(ApiError):
    """The engine died or its connection was lost while decoding."""

    CODE = "WORKER_RESET"
    RETRIABLE = True


class PoolUnreadyError(ApiError):
    """The pool is loading, draining or reloading, or its model is missing."""

    CODE = "POOL_UNREADY"
    RETRIABLE = True


class PoolUnavailableError(ApiError):
    """No pool can serve it: no replica is up, or the breaker is open."""

    CODE = "POOL_UNAVAILABLE"
    RETRIABLE = True


class ReplicaExhaustedError(ApiError):
    """Every replica that could try the task failed, or the one that had begun to answer it."""

    CODE = "REPLICA_EXHAUSTED"
    RETRIABLE = True


class DecodeTimeoutError(ApiError):
    """The watchdog ended the task."""

    CODE = "DECODE_TIMEOUT"
    RETRIABLE = True


BY_CODE: dict[str, type[ApiError]] = {
    "INVALID_PARAMS": InvalidParamsError,
    "DEADLINE_UNMET": DeadlineUnmetError,
    "UNTRUSTED_ARTIFACT": UntrustedArtifactError,
    "UNAUTHENTICATED": UnauthenticatedError,
    "FORBIDDEN": ForbiddenError,
    "NOT_FOUND": NotFoundError,
    "METHOD_NOT_ALLOWED": MethodNotAllowedError,
    "REQUEST_TIMEOUT": RequestTimeoutError,
    "CONFLICT": ConflictError,
    "MODEL_DEPRECATED": ModelDeprecatedError,
    "PAYLOAD_TOO_LARGE": PayloadTooLargeError,
    "UNSUPPORTED_MEDIA_TYPE": UnsupportedMediaTypeError,
    "ADMISSION_REJECT": AdmissionRejectError,
    "QUEUE_FULL_DROP_LRU": QueueFullDropLruError,
    "CANCELED": CanceledError,
    "INTERNAL": InternalError,
    "WORKER_RESET": WorkerResetError,
    "POOL_UNREADY": PoolUnreadyError,
    "POOL_UNAVAILABLE": PoolUnavailableError,
    "REPLICA_EXHAUSTED": ReplicaExhaustedError,
    "DECODE_TIMEOUT": DecodeTimeoutError,
}

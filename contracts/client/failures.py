"""What can go wrong with a call, by who is at fault.

    OrchQueueError
    ├── ApiError               the server refused, or a task failed; one subclass for each code (`error_types.py`)
    ├── UnexpectedAnswerError  the answer is none that the contract knows: a proxy's page, a server of another version
    └── StreamCutError         a stream broke off and could not be taken up again

A connection that cannot be made raises httpx's own `httpx.TransportError`.

Source: ORCH-2006, OC-CTRL-2032.
"""

from typing import ClassVar

import msgspec


class OrchQueueError(Exception):
    """Anything of the below."""


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """An error as any server sends it: read leniently, so that a new code or a forgotten field hides no refusal."""

    code: str
    message: str = ""
    engine: str | None = None
    pool_id: str | None = None
    retriable: bool | None = None
    retry_after_ms: int | None = None
    policy_label: str | None = None


class ApiError(OrchQueueError):
    """The server refused a request, or a task ended without success.

    Attributes:
        code: of the error registry; a code that this client does not know is an `ApiError` itself.
        status: the HTTP status; None where the error came as a stream's last frame.
        retriable: whether the same request can succeed later; the registry's word where the server says nothing.
        retry_after_ms: when; None where it is not known.
        policy_label: which policy refused, on a 429.
        correlation_id: for the server's log; None in a frame.
    """

    CODE: ClassVar[str] = ""
    RETRIABLE: ClassVar[bool] = False

    def __init__(
        self,
        envelope: Envelope,
        *,
        status: int | None = None,
        retry_after_ms: int | None = None,
        correlation_id: str | None = None,
    ) -> None:
        super().__init__(f"{envelope.code}: {envelope.message}")
        self.code = envelope.code
        self.message = envelope.message
        self.status = status
        self.engine = envelope.engine
        self.pool_id = envelope.pool_id
        self.retriable = self.RETRIABLE if envelope.retriable is None else envelope.retriable
        self.retry_after_ms = retry_after_ms if envelope.retry_after_ms is None else envelope.retry_after_ms
        self.policy_label = envelope.policy_label
        self.correlation_id = correlation_id


class UnexpectedAnswerError(OrchQueueError):
    """The contract knows no such answer to this operation.

    Attributes:
        status: the HTTP status.
        body: its first 2 KiB.
    """

    def __init__(self, operation: str, status: int, why: str, body: bytes = b"") -> None:
        super().__init__(f"{operation}: {status}: {why}")
        self.operation = operation
        self.status = status
        self.body = body[:2048]


class StreamCutError(OrchQueueError):
    """A stream broke off before its terminal frame, and so did every attempt to take it up again.

    Attributes:
        last_event_id: of the last frame that was received, to go on later; None before the first.
    """

    def __init__(self, last_event_id: int | None, why: str) -> None:
        super().__init__(f"the stream broke off after frame {last_event_id}: {why}")
        self.last_event_id = last_event_id
        self.why = why

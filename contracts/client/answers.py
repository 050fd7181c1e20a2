"""One call without its network: an operation's request as httpx takes it, and its answer as a value or an error."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from contracts.client.answer_headers import AnswerHeaders
from contracts.client.error_types import BY_CODE
from contracts.client.failures import ApiError, Envelope, UnexpectedAnswerError
from contracts.models.data import ErrorFrame

T = TypeVar("T")
JSON = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation(Generic[T]):
    """One method of one path.

    Attributes:
        path: with `{id}` for what a call fills in.
        status: of success.
        answer: the type of its body; `NoneType` where it has none, `str` for text.
    """

    name: str
    method: str
    path: str
    status: int
    answer: type[T]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(AnswerHeaders, Generic[T]):
    """A success.

    Attributes:
        body: what the contract says that it holds.
    """

    status: int
    headers: Mapping[str, str]
    body: T


def path_of(operation: Operation[T], id: str | None) -> str:  # noqa: A002 - the contract's own name
    """The path of one call.

    Raises:
        ValueError: the id is empty or `.` or `..`, which would be the path of another operation.
    """
    if id is None:
        return operation.path
    if id in {"", ".", ".."}:
        raise ValueError(f"{operation.name}: {id!r} is no id")
    return operation.path.replace("{id}", quote(id, safe=":"))


def headers_of(headers: Mapping[str, object], body: msgspec.Struct | None) -> dict[str, str]:
    """The headers of one call; those without a value are left out."""
    sent = {name: str(value) for name, value in headers.items() if value is not None}
    return sent if body is None else {**sent, "Content-Type": JSON}


def read(operation: Operation[T], response: httpx.Response) -> Answer[T]:
    """The answer, whose content must have been read.

    Raises:
        ApiError: a subclass by the code of the server's error envelope.
        UnexpectedAnswerError: the contract knows no such answer.
    """
    if response.status_code == operation.status:
        return Answer(status=response.status_code, headers=response.headers, body=_body(operation, response))
    if response.status_code >= 400:
        raise error_of(operation.name, response)
    raise UnexpectedAnswerError(operation.name, response.status_code, "is no answer of it", response.content)


def error_of(operation: str, response: httpx.Response) -> ApiError | UnexpectedAnswerError:
    """What a status of 400 and more means."""
    try:
        envelope = msgspec.json.decode(response.content, type=Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return UnexpectedAnswerError(operation, response.status_code, f"no error envelope: {error}", response.content)
    return BY_CODE.get(envelope.code, ApiError)(
        envelope,
        status=response.status_code,
        retry_after_ms=_wait_ms(response.headers),
        correlation_id=response.headers.get("X-Correlation-Id"),
    )


def failure(frame: ErrorFrame) -> ApiError:
    """What a stream's last frame, or a task's status, says as the error to raise."""
    envelope = msgspec.convert(msgspec.to_builtins(frame), type=Envelope)
    return BY_CODE.get(envelope.code, ApiError)(envelope)


def _body(operation: Operation[T], response: httpx.Response) -> T:
    if operation.answer is type(None) or operation.answer is str:
        return msgspec.convert(response.text if operation.answer is str else None, type=operation.answer)
    try:
        return msgspec.json.decode(response.content, type=operation.answer)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnexpectedAnswerError(operation.name, response.status_code, str(error), response.content) from None


def _wait_ms(headers: Mapping[str, str]) -> int | None:
    """`X-Backoff-Ms`, else `Retry-After` in seconds; an HTTP date there is not understood."""
    for name, unit_ms in (("X-Backoff-Ms", 1), ("Retry-After", 1000)):
        text = headers.get(name, "")
        if text.isascii() and text.isdigit():
            return int(text) * unit_ms
    return None

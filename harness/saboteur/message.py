"""What passes on the wire, as a defect sees it: a request, an answer, and the frames of a stream."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from harness.error_codes import registry
from harness.history import parsed
from harness.sse import Comment, SseParser

Header = tuple[str, str]

TERMINAL = ("end", "error")

NOBODY = "00000000-0000-4000-8000-000000000000"


@dataclass
class Message:
    """Headers and a body, to be changed in place.

    Attributes:
        headers: names as they were sent, in order.
    """

    headers: list[Header] = field(default_factory=list)
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """The first header of this name, in any case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def drop(self, *names: str) -> None:
        """Take headers out."""
        gone = {name.lower() for name in names}
        self.headers = [(key, value) for key, value in self.headers if key.lower() not in gone]

    def put(self, name: str, value: str) -> None:
        """Set a header, in place of all of its name."""
        self.drop(name)
        self.headers.append((name, value))

    @property
    def json(self) -> Any:
        """The body; None when it is no JSON."""
        return parsed(self.body)

    @json.setter
    def json(self, value: Any) -> None:
        self.body = json.dumps(value, ensure_ascii=False).encode()

    def set(self, **fields: Any) -> None:
        """Change members of a JSON object; None takes one out. A body that is none stays as it is."""
        if isinstance(self.json, dict):
            self.json = {k: v for k, v in {**self.json, **fields}.items() if v is not None}


@dataclass
class Request(Message):
    """What a client asks."""

    method: str = ""
    path: str = ""

    @property
    def line(self) -> str:
        """`GET /v1/tasks/ID`, without a query."""
        return f"{self.method} {self.path.partition('?')[0]}"

    @property
    def task_id(self) -> str:
        """The id in `/v1/KIND/ID…`; empty where there is none."""
        return (self.path.split("/") + [""] * 4)[3]

    def encoded(self) -> bytes:
        """As bytes; its length is written anew."""
        self.put("Content-Length", str(len(self.body)))
        return encoded(f"{self.method} {self.path} HTTP/1.1", self.headers) + self.body

    @classmethod
    def of(cls, head: bytes) -> "Request | None":
        """Read a request's head, without its body; None when that is no HTTP."""
        lines = head.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        parts = lines[0].split(" ")
        if len(parts) != 3 or not parts[2].startswith("HTTP/1.") or not all(":" in line for line in lines[1:]):
            return None
        pairs = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines[1:])]
        return cls(method=parts[0], path=parts[1], headers=pairs)


@dataclass
class Answer(Message):
    """What comes back; the body of a stream is not in it.

    Attributes:
        hold_ms: how long it is held back.
    """

    status: int = 200
    hold_ms: float = 0.0

    @property
    def is_stream(self) -> bool:
        """Frames follow."""
        return (self.header("content-type") or "").startswith("text/event-stream")

    def refuse(self, code: str, **fields: Any) -> "Answer":
        """Become a refusal as the registry of errors has it, with other fields where they are given."""
        known = registry()[code]
        self.status = known.http or 400
        waits = {"retry_after_ms": 1000} if "Retry-After" in known.requires else {}
        label = {"policy_label": "reject"} if "policy_label" in known.requires else {}
        self.json = {"code": code, "message": "planted", "retriable": known.retriable, **waits, **label, **fields}
        self.put("Content-Type", "application/json")
        given = {"Retry-After": "1", "X-Backoff-Ms": "1000", "WWW-Authenticate": "Bearer", "Allow": "GET"}
        for name in (name for name in given if name in known.requires):
            self.put(name, given[name])
        return self

    def accept(self, request: Request) -> "Answer":
        """Become the answer to a task that was admitted to an idle pool."""
        told = {"queue_position": 0, "predicted_start_ms": 0, "backoff_ms": 0}
        return self.become(202, {"task_id": (request.json or {}).get("task_id", NOBODY), **told})

    def become(self, status: int, value: Any = None) -> "Answer":
        """Become another answer with this JSON, or with none; the correlation id stays."""
        self.status = status
        self.drop("Retry-After", "X-Backoff-Ms", "Content-Type", "WWW-Authenticate", "Allow")
        self.body = b""
        if value is not None:
            self.json = value
            self.put("Content-Type", "application/json")
        return self

    def head(self) -> bytes:
        """As the beginning of a stream, in chunks, on a connection that ends with it."""
        self.drop("Connection", "Transfer-Encoding", "Content-Length")
        framing = [("Connection", "close"), ("Transfer-Encoding", "chunked")]
        return encoded(f"HTTP/1.1 {self.status} -", [*self.headers, *framing])

    def encoded(self) -> bytes:
        """As a whole answer, on a connection that ends with it."""
        self.drop("Connection", "Transfer-Encoding", "Content-Length")
        has_body = self.status not in (204, 304)
        framing = [("Connection", "close"), *([("Content-Length", str(len(self.body)))] if has_body else [])]
        return encoded(f"HTTP/1.1 {self.status} -", [*self.headers, *framing]) + (self.body if has_body else b"")

    @classmethod
    def to(cls, request: Request) -> "Answer":
        """An empty answer of the defect's own, with the request's correlation id."""
        return cls(headers=[("X-Correlation-Id", request.header("x-correlation-id") or str(uuid.uuid4()))])


def encoded(line: str, headers: list[Header]) -> bytes:
    """A head."""
    return "".join(f"{text}\r\n" for text in (line, *(f"{k}: {v}" for k, v in headers), "")).encode("latin-1")


@dataclass(frozen=True, slots=True)
class Frame:
    r"""One block of a stream: an event, or a comment.

    Attributes:
        comment: None = it is an event.
        hold_ms: how long it is held back, and all that follow it.
    """

    event: str
    data: str
    id: str | None
    comment: str | None = None
    hold_ms: float = 0.0

    @property
    def is_terminal(self) -> bool:
        """It closes its stream."""
        return self.event in TERMINAL

    @property
    def payload(self) -> dict[str, Any]:
        """Its data; empty when that is no object."""
        found = parsed(self.data)
        return found if isinstance(found, dict) else {}

    def having(self, **fields: Any) -> "Frame":
        """The same with other members in its data; None takes one out."""
        changed = {k: v for k, v in {**self.payload, **fields}.items() if v is not None}
        return replace(self, data=json.dumps(changed, ensure_ascii=False, separators=(",", ":")))

    def encoded(self) -> bytes:
        """As bytes, its blank line included."""
        if self.comment is not None:
            return f":{self.comment}\n\n".encode()
        given = {"id": self.id, "event": self.event, "data": self.data}
        return ("".join(f"{name}: {value}\n" for name, value in given.items() if value is not None) + "\n").encode()

    @classmethod
    def of(cls, block: bytes) -> "Iterator[Frame]":
        """What a block, blank line included, holds."""
        for item in SseParser().feed(block):
            if isinstance(item, Comment):
                yield cls("", "", None, comment=item.text)
            else:
                yield cls(item.event, item.data, item.id)

"""Histories for the tests of rules: a good one in which everything is right, told a task at a time, to be made bad."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from chaos.engine import digest_of
from chaos.record import FORMAT, Record

SESSION = "00000000-0000-4000-8000-000000000001"
STARTED = {"queue_position": 0, "predicted_start_ms": 0}
PLANNING = {"queue_depth": 0, "on_time_probability": 1.0}
ANSWER_HEADERS = [["content-type", "application/json"], ["x-correlation-id", "a"]]
TEXT = "xyz"


def name(number: int) -> str:
    """The id of a task."""
    return f"00000000-0000-4000-9000-{number:012d}"


@dataclass
class Story:
    """A run on one slot.

    Attributes:
        records: so far; the first is the run.
    """

    records: list[Record] = field(default_factory=list)

    @classmethod
    def of(cls, **changes: Any) -> "Story":
        """The beginning: a run without faults."""
        run = {"kind": "run", "format": FORMAT, "seed": 1, "workload": "lanes", "faults": [], "engine": "attached"}
        shape = {"slots": 1, "capacity": 4, "policy": "reject", "budget_tokens": None, "repeat": "llama-orch chaos"}
        return cls([{**run, **shape, **changes}])

    def submit(self, number: int, at_ms: float, *, status: int = 202, priority: str = "batch", **how: Any) -> None:
        """One attempt, answered 1 ms later."""
        sent: dict[str, Any] = {
            "task_id": name(number),
            "session_id": SESSION,
            "workload": "completion",
            "model_ref": "default",
        }
        sent |= {"engine": "llamacpp", "ctx": 64, "priority": priority, "max_tokens": 3, "deadline_ms": 9000}
        sent |= {"prompt": f"{name(number)} a", **how.get("body", {})}
        answer = {"task_id": name(number), "queue_position": 0, "predicted_start_ms": 0, "backoff_ms": 0}
        answer |= how.get("answer", {})
        headers = [*ANSWER_HEADERS, *how.get("headers", [])]
        self.exchange("POST", "/v1/tasks", at_ms, status=status, sent=sent, answer=answer, headers=headers)

    def exchange(self, method: str, path: str, at_ms: float, *, status: int = 200, **how: Any) -> None:
        """One request, answered 1 ms later."""
        sent, answer = how.get("sent"), how.get("answer")
        self.records.append(
            {
                "kind": "exchange",
                "who": "c1",
                "method": method,
                "path": path,
                "request_headers": [["content-type", "application/json"], ["x-correlation-id", "a"]],
                "request_body": json.dumps(sent) if sent is not None else "",
                "status": status,
                "headers": how.get("headers", ANSWER_HEADERS),
                "body": answer if isinstance(answer, str) else json.dumps(answer) if answer is not None else "",
                "sent_ms": at_ms,
                "answered_ms": at_ms + 1,
            }
        )

    def scrape(self, at_ms: float, text: str) -> None:
        """`GET /metrics`."""
        headers = [["content-type", "text/plain; version=0.0.4"], ["x-correlation-id", "a"]]
        self.exchange("GET", "/metrics", at_ms, answer=text, headers=headers)

    def stream(
        self, number: int, frames: Sequence[tuple[float, str, Any]], *, end: str = "complete", **how: Any
    ) -> None:
        """A reader's view; frames are (time, event, data), with ids 0, 1, 2 …"""
        opened_ms = how.get("opened_ms", frames[0][0] - 1 if frames else 0)
        opening = {"method": "GET", "path": f"/v1/tasks/{name(number)}/stream", "request_body": "", "status": 200}
        opening |= {"request_headers": [], "body": "", "sent_ms": opened_ms, "answered_ms": opened_ms}
        opening |= {"headers": [["content-type", "text/event-stream"], ["x-correlation-id", name(99)]]}
        self.records.append(
            {
                "kind": "stream",
                "who": "c1",
                "task": name(number),
                "after": None,
                "opening": opening,
                "frames": [[at, event, str(at_), json.dumps(data)] for at_, (at, event, data) in enumerate(frames)],
                "at_cancel": how.get("at_cancel"),
                "end": end,
                "why": how.get("why", ""),
                "is_direct": True,
                "is_slow": False,
                "closed_ms": frames[-1][0] if frames else opened_ms,
            }
        )

    def engine(self, event: str, number: int | None, at_ms: float, **facts: Any) -> None:
        """A line of the witness."""
        task = None if number is None else name(number)
        self.records.append({"kind": "engine", "event": event, "at_ms": at_ms, "pid": 7, "task": task, **facts})

    def decoded(self, number: int, at_ms: float, *, text: str = TEXT) -> None:
        """Asked and done, within 4 ms."""
        self.engine("asked", number, at_ms, busy=1)
        self.engine("ending", number, at_ms + 3, tokens=len(text), digest=digest_of(text))
        self.engine("let-go", number, at_ms + 4)

    def ended(self, number: int, at_ms: float, *, text: str = TEXT) -> None:
        """Its stream, to an `end`."""
        tokens = [(at_ms, "token", {"t": t, "i": i}) for i, t in enumerate(text)]
        head = [(at_ms, "started", STARTED), (at_ms, "metrics", PLANNING)]
        sums = {"tokens_out": len(text), "decode_ms": 3, "tokens_in": 2}
        self.stream(number, [*head, *tokens, (at_ms, "metrics", PLANNING), (at_ms, "end", sums)])

    def failed(self, number: int, at_ms: float, code: str, **more: Any) -> None:
        """Its stream, to an `error`."""
        data = {"code": code, "message": "m", "engine": "llamacpp", "retriable": True, **more}
        self.stream(number, [(at_ms, "metrics", PLANNING), (at_ms, "error", data)])

    def served(self, number: int, at_ms: float, **how: Any) -> None:
        """Everything of a task that goes well: sent at `at_ms`, decoded 5 ms later."""
        self.submit(number, at_ms, **how)
        self.decoded(number, at_ms + 5)
        self.ended(number, at_ms + 10)

    def add(self, kind: str, **facts: Any) -> None:
        """Any other record."""
        self.records.append({"kind": kind, **facts})

    def over(self) -> "Story":
        """Ten tasks more, and the end: a history that is no longer unknown."""
        for number in range(50, 60):
            self.served(number, 10_000 + 20 * (number - 50))
        self.add("phase", name="judge", at_ms=20_000.0)
        return self

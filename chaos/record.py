"""The history of one run as a file of JSON lines: written while it happens, judged afterwards, and again from the file.

    {"kind": "run", "seed": 7, "workload": "mixed", "faults": ["kill-server"], "slots": 2, …}      first
    {"kind": "phase", "name": "faults", "at_ms": 812.0}
    {"kind": "life", "event": "up", "at_ms": 700.0, "number": 1}             of the server; or killed, ended
    {"kind": "fault", "name": "kill-server", "at_ms": 900.0, "until_ms": 1700.0, "hits": 1, "told": "…"}
    {"kind": "exchange", "who": "c3", "method": "POST", "path": "/v1/tasks", …}
    {"kind": "stream", "who": "c3", "task": "…", "frames": [[at_ms, "token", "4", "{…}"], …], "end": "complete", …}
    {"kind": "drain", "at_ms": …, "deadline_ms": 300, "drained_ms": …, "stuck": ["…"]}     null = it did not end
    {"kind": "hang", "who": "c3", "what": "…", "at_ms": …}
    {"kind": "engine", "event": "asked", "task": "…", …}                     the engine's own witness
    {"kind": "loss", "fault": "cuda-error"}                                  from the server's log
    {"kind": "capacity", "when": "before", "count": 10}
    {"kind": "engines", "at_ms": …, "alive": [4711]}                         after the server was stopped

Times are milliseconds of the harness's monotonic clock, less the run's begin.
"""

import json
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from harness.history import Exchange, Frame, Headers, Stream, now_ms

FORMAT = 1

Record = dict[str, Any]


class UnreadableError(Exception):
    """The file is no history of a run."""


class Recorder:
    """Takes records from many threads, and writes each at once.

    Attributes:
        records: all so far.
    """

    def __init__(self, path: Path) -> None:
        self.records: list[Record] = []
        self._began_ms = now_ms()
        self._lock = threading.Lock()
        self._out = path.open("w", encoding="utf-8", buffering=1)

    def add(self, kind: str, **facts: Any) -> None:
        """One record."""
        with self._lock:
            record = {"kind": kind, **facts}
            self.records.append(record)
            self._out.write(json.dumps(record, ensure_ascii=False) + "\n")

    def since(self, at_ms: float) -> float:
        """A time of the monotonic clock as the history has it."""
        return round(at_ms - self._began_ms, 3)

    def now(self) -> float:
        """The time now, as the history has it."""
        return self.since(now_ms())

    def exchange(self, who: str, exchange: Exchange) -> None:
        """One request and its answer."""
        self.add("exchange", who=who, **self._told(exchange))

    def stream(self, who: str, stream: Stream, *, is_direct: bool, is_slow: bool = False) -> None:
        """One reader's view of a task. An errand writes it down at its end, which may come long after the stream's.

        Args:
            is_direct: it read the server itself, not through a proxy with a trouble in it.
            is_slow: it took its time on purpose.
        """
        self.add(
            "stream",
            who=who,
            task=stream.task_id,
            after=stream.after,
            opening=None if stream.opening is None else self._told(stream.opening),
            frames=[[self.since(f.at_ms), f.event, f.id, f.data] for f in stream.frames],
            at_cancel=stream.frames_at_cancel,
            end=stream.end,
            why=stream.why,
            is_direct=is_direct,
            is_slow=is_slow,
            closed_ms=self.now() if stream.ended_ms is None else self.since(stream.ended_ms),
        )

    def close(self) -> None:
        """No more will come."""
        self._out.close()

    def _told(self, exchange: Exchange) -> Record:
        return {
            "method": exchange.method,
            "path": exchange.path,
            "request_headers": [list(pair) for pair in exchange.request_headers],
            "request_body": exchange.request_body.decode("utf-8", "replace"),
            "status": exchange.status,
            "headers": [list(pair) for pair in exchange.headers],
            "body": exchange.body.decode("utf-8", "replace"),
            "sent_ms": self.since(exchange.sent_ms),
            "answered_ms": self.since(exchange.answered_ms),
        }


def exchange_of(record: Record) -> Exchange:
    """An exchange, from its record."""
    return Exchange(
        method=record["method"],
        path=record["path"],
        request_headers=_pairs(record["request_headers"]),
        request_body=record["request_body"].encode(),
        status=record["status"],
        headers=_pairs(record["headers"]),
        body=record["body"].encode(),
        sent_ms=record["sent_ms"],
        answered_ms=record["answered_ms"],
    )


def stream_of(record: Record) -> Stream:
    """A reader's view, from its record."""
    return Stream(
        task_id=record["task"],
        after=record["after"],
        opening=None if record["opening"] is None else exchange_of(record["opening"]),
        frames=[Frame(event, data, frame_id, at_ms) for at_ms, event, frame_id, data in record["frames"]],
        frames_at_cancel=record["at_cancel"] if record["is_direct"] else None,
        end=record["end"],
        why=record["why"],
    )


def read(path: Path) -> list[Record]:
    """A history from its file.

    Raises:
        UnreadableError: it is none, or of another format.
    """
    try:
        records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    except (OSError, ValueError, RecursionError) as error:
        raise UnreadableError(f"{path}: {error}") from None
    if not records or not all(isinstance(record, dict) and isinstance(record.get("kind"), str) for record in records):
        raise UnreadableError(f"{path}: not a history: lines are objects with a kind")
    if records[0]["kind"] != "run" or records[0].get("format") != FORMAT:
        raise UnreadableError(f"{path}: the first line is not a run of format {FORMAT}")
    return records


def write(path: Path, records: Iterable[Record]) -> None:
    """A history to a file."""
    lines = (json.dumps(record, ensure_ascii=False) for record in records)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _pairs(listed: Sequence[Sequence[str]]) -> Headers:
    return tuple((name, value) for name, value in listed)

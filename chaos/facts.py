"""What a history says of each task: the one reading of the records that all rules share. Pure."""

import json
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from chaos.record import Record, exchange_of, stream_of
from harness.history import Exchange, Stream, parsed

FOREVER = float("inf")


@dataclass(frozen=True, slots=True)
class Asked:
    """One completion that an engine was asked for.

    Attributes:
        at_ms: when it came in.
        ending_ms: just before its last frame left; None when it was broken off.
        let_go_ms: when its slot was idle again; None when the engine died with it.
        digest: of the text that it sent, when it came to its end.
        busy: slots at work, with this one.
    """

    task: str | None
    pid: int
    at_ms: float
    busy: int
    ending_ms: float | None = None
    let_go_ms: float | None = None
    digest: str | None = None
    tokens: int | None = None

    @property
    def over_ms(self) -> float:
        """The earliest moment at which its server can have known its slot to be free."""
        return self.ending_ms if self.ending_ms is not None else self.let_go_ms or FOREVER


@dataclass
class Reading:
    """One reader's view, with how it read."""

    stream: Stream
    who: str
    closed_ms: float
    is_slow: bool

    @property
    def opened_ms(self) -> float:
        """When it was asked for; what comes on it comes from the life of the server that there was then."""
        return self.stream.opening.sent_ms if self.stream.opening else self.closed_ms


@dataclass
class Task:
    """Everything about one task.

    Attributes:
        body: as it was submitted.
        submits: every attempt, in order.
        asked: what the engines were asked of it.
    """

    id: str
    body: dict[str, Any]
    submits: list[Exchange] = field(default_factory=list)
    cancels: list[Exchange] = field(default_factory=list)
    statuses: list[Exchange] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)

    @cached_property
    def accepted(self) -> Exchange | None:
        """The first 202."""
        return next((e for e in self.submits if e.status == 202), None)

    @property
    def first_sent_ms(self) -> float:
        """It cannot have been admitted before."""
        return self.submits[0].sent_ms

    @property
    def accepted_ms(self) -> float:
        """It was admitted before this."""
        return self.accepted.answered_ms if self.accepted else FOREVER

    @property
    def is_refused(self) -> bool:
        """Every attempt was answered, and none with a 202: it certainly was not admitted."""
        return all(e.status not in (0, 202) and e.status < 500 for e in self.submits)

    @property
    def priority(self) -> str:
        """Its lane."""
        return str(self.body.get("priority"))

    @property
    def asked_ms(self) -> float:
        """When an engine was first asked for it."""
        return self.asked[0].at_ms if self.asked else FOREVER

    @cached_property
    def terminals(self) -> list[tuple[float, str, dict[str, Any]]]:
        """Every terminal frame that any reader got: time, event, payload; by time."""
        found = [
            (frame.at_ms, frame.event, frame.payload if isinstance(frame.payload, dict) else {})
            for reading in self.readings
            for frame in reading.stream.frames
            if frame.is_terminal
        ]
        return sorted(found, key=lambda terminal: terminal[0])

    @property
    def ended_by_ms(self) -> float:
        """It had ended by this time."""
        return self.terminals[0][0] if self.terminals else FOREVER

    @property
    def error(self) -> str | None:
        """The code of the error that it ended with; None = it did not, or not yet."""
        return next((str(data.get("code")) for _, event, data in self.terminals if event == "error"), None)

    @property
    def canceled_ms(self) -> float:
        """When its cancel was first answered."""
        return min((e.answered_ms for e in self.cancels if e.status == 204), default=FOREVER)


class Facts:
    """A history, read.

    Attributes:
        run: the first record.
    """

    def __init__(self, records: Sequence[Record]) -> None:
        self.run = records[0]
        self.records = records
        self.tasks: dict[str, Task] = {}
        self.exchanges = [exchange_of(r) for r in self.of("exchange")]
        self._take_exchanges()
        for record in self.of("stream"):
            reading = Reading(stream_of(record), record["who"], record["closed_ms"], record["is_slow"])
            if (task := self.tasks.get(record["task"])) is not None:
                task.readings.append(reading)
        self.asked = _asked(self.of("engine"))
        for one in self.asked:
            if one.task is not None and one.task in self.tasks:
                self.tasks[one.task].asked.append(one)

    def of(self, kind: str) -> list[Record]:
        """The records of one kind, in order."""
        return [record for record in self.records if record["kind"] == kind]

    @property
    def accepted(self) -> list[Task]:
        """Every task with a 202."""
        return [task for task in self.tasks.values() if task.accepted]

    @cached_property
    def faults(self) -> set[str]:
        """The names of the run's faults, without where they strike."""
        return {str(name).partition("@")[0] for name in self.run["faults"]}

    def is_during(self, at_ms: float, names: Iterable[str], *, slack_ms: float) -> bool:
        """A fault of one of these names struck at that time, or so shortly before."""
        wanted = set(names)
        return any(
            record["name"].partition("@")[0] in wanted
            and record["at_ms"] - slack_ms <= at_ms <= record["until_ms"] + slack_ms
            for record in self.of("fault")
        )

    def life_at(self, at_ms: float) -> int:
        """Which life of the server it was: how often it had been killed by then."""
        return bisect_right(self._ends, at_ms)

    @cached_property
    def _ends(self) -> list[float]:
        return sorted(r["at_ms"] for r in self.of("life") if r["event"] == "killed")

    def _take_exchanges(self) -> None:
        """As they were sent: a client writes its errand down at the end, after another's cancel of its task."""
        for exchange in sorted(self.exchanges, key=lambda exchange: exchange.sent_ms):
            parts = exchange.path.split("/")
            if (exchange.method, exchange.path) == ("POST", "/v1/tasks"):
                body = parsed(exchange.request_body)
                task = self.tasks.setdefault(str(body["task_id"]), Task(str(body["task_id"]), body))
                task.submits.append(exchange)
            elif parts[:3] == ["", "v1", "tasks"] and (known := self.tasks.get(parts[3])) is not None:
                (known.cancels if parts[4:] == ["cancel"] else known.statuses).append(exchange)


def _asked(witness: Iterable[Record]) -> list[Asked]:
    """Requests from the witness's lines, by time."""
    found: list[Asked] = []
    open_by: dict[tuple[int, str | None], int] = {}
    for line in sorted(witness, key=lambda line: line["at_ms"]):
        key = (line["pid"], line.get("task"))
        match line["event"]:
            case "asked":
                open_by[key] = len(found)
                found.append(Asked(line["task"], line["pid"], line["at_ms"], line["busy"]))
            case "ending" if key in open_by:
                changes = {"ending_ms": line["at_ms"], "digest": line["digest"], "tokens": line["tokens"]}
                found[open_by[key]] = _with(found[open_by[key]], **changes)
            case "let-go" if key in open_by:
                at = open_by.pop(key)
                found[at] = _with(found[at], let_go_ms=line["at_ms"])
    return found


def _with(asked: Asked, **changes: Any) -> Asked:
    known = {name: getattr(asked, name) for name in Asked.__slots__}
    return Asked(**{**known, **changes})


def canonical(data: str) -> str:
    """JSON of a frame, so that equal data are equal text."""
    return json.dumps(parsed(data), sort_keys=True)

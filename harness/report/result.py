"""A run gathered from its events: what every report is written from."""

import re
import shlex
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from harness.outcome import Outcome

# What pytest's -k takes as one word: a row of an outline that has other characters cannot be named by it.
KEYWORD = re.compile(r"[\w:+\-./]+")


@dataclass(frozen=True, slots=True)
class Planned:
    """A scenario that was selected."""

    id: str
    title: str
    feature: str
    requirements: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """A scenario that has run.

    Attributes:
        violations: `req`, `expected`, `actual`, `at` of each.
    """

    scenario: Planned
    outcome: Outcome
    message: str
    violations: tuple[dict[str, str], ...]
    duration_ms: int


@dataclass
class Result:
    """Everything that the events have told.

    Attributes:
        target: `url`, and the rows of its capabilities; empty until the server is known.
        stopped: why the run could not go on.
    """

    planned: dict[str, Planned] = field(default_factory=dict)
    finished: list[Finished] = field(default_factory=list)
    target: dict[str, Any] = field(default_factory=dict)
    stopped: str = ""

    def take(self, event: dict[str, Any]) -> None:
        """Take in one event."""
        match event:
            case {"event": "planned", "scenarios": listed}:
                found = [Planned(**{**entry, "requirements": tuple(entry["requirements"])}) for entry in listed]
                self.planned = {scenario.id: scenario for scenario in found}
            case {"event": "target", **target}:
                self.target = target
            case {"event": "stopped", "message": message}:
                self.stopped = message
            case {"event": "finished", "id": identifier, "outcome": outcome, **rest}:
                finished = Finished(
                    scenario=self.planned[identifier],
                    outcome=Outcome(outcome),
                    message=rest["message"],
                    violations=tuple(rest["violations"]),
                    duration_ms=rest["duration_ms"],
                )
                self.finished.append(finished)

    @property
    def counts(self) -> Counter[Outcome]:
        """How many scenarios came to which outcome."""
        return Counter(entry.outcome for entry in self.finished)

    @property
    def failures(self) -> list[Finished]:
        """What makes the run fail, in order."""
        return [entry for entry in self.finished if entry.outcome.is_failure]


def repeat_command(scenario: Planned, options: list[str]) -> str:
    """The command line that runs this scenario alone.

    Args:
        options: of `llama-orch conform`, as the run was started.
    """
    name, _, row = scenario.id.rpartition("::")[2].removesuffix("]").partition("[")
    keyword = f"{name} and {row}" if row and KEYWORD.fullmatch(row) else name
    return shlex.join(["llama-orch", "conform", *options, "-k", keyword])

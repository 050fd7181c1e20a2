"""A run gathered from its events: what every report is written from."""

import re
import shlex
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from harness.outcome import Outcome
from harness.registry.coverage import worst

# What pytest's -k takes as one word: a row of an outline that has other characters cannot be named by it.
KEYWORD = re.compile(r"[\w:+\-./]+")


def described(target: Mapping[str, Any]) -> str:
    """The engines of a target in words; one that decodes without a GPU says so wherever it is judged (ORCH-1102)."""
    return "; ".join(map(_engine, target.get("engines", [])))


def _engine(row: Mapping[str, Any]) -> str:
    is_on_cpu = isinstance(features := row.get("features"), dict) and features.get("experimental_cpu") is True
    return f"{row.get('engine')} {row.get('engine_version')}{', experimental: on the CPU' if is_on_cpu else ''}"


@dataclass(frozen=True, slots=True)
class Planned:
    """A scenario that was selected."""

    id: str
    check: str
    title: str
    feature: str
    requirements: tuple[str, ...]
    severity: str
    profiles: tuple[str, ...]
    disturbs: bool

    @classmethod
    def of(cls, entry: dict[str, Any]) -> "Planned":
        """Read it from an event."""
        lists = {name: tuple(entry[name]) for name in ("requirements", "profiles")}
        return cls(**{**entry, **lists})


@dataclass(frozen=True, slots=True)
class Finished:
    """A scenario that has run.

    Attributes:
        violations: `req`, `expected`, `actual`, `at` of each.
        trace: what was sent and what came, of what did not pass.
        figures: what was measured, by name.
        gap: why it is known to fail; empty when it is not.
    """

    scenario: Planned
    outcome: Outcome
    message: str
    violations: tuple[dict[str, str], ...]
    duration_ms: int
    trace: tuple[str, ...] = ()
    figures: dict[str, float] = field(default_factory=dict)
    gap: str = ""

    @property
    def is_failure(self) -> bool:
        """The run as a whole fails because of it."""
        return self.outcome.is_failure and not self.gap


@dataclass
class Result:
    """Everything that the events have told.

    Attributes:
        target: `url`, and the rows of its capabilities; empty until the server is known.
        stopped: why the run could not go on.
        gaps: checks that are known to fail, and why.
        duration_ms: of the whole run, the starts of its servers included; 0 until it is over.
        left_behind: `pid` and `command` of each process that outlived the run, which fails because of it.
    """

    planned: dict[str, Planned] = field(default_factory=dict)
    finished: list[Finished] = field(default_factory=list)
    target: dict[str, Any] = field(default_factory=dict)
    stopped: str = ""
    gaps: dict[str, str] = field(default_factory=dict)
    left_behind: list[dict[str, Any]] = field(default_factory=list)
    duration_ms: int = 0

    def take(self, event: dict[str, Any]) -> None:
        """Take in one event."""
        match event:
            case {"event": "planned", "scenarios": listed}:
                found = [Planned.of(entry) for entry in listed]
                self.planned = {scenario.id: scenario for scenario in found}
            case {"event": "target", **target}:
                self.target = target
            case {"event": "stopped", "message": message}:
                self.stopped = message
            case {"event": "left_behind", "processes": processes}:
                self.left_behind = processes
            case {"event": "ended", "duration_ms": duration_ms}:
                self.duration_ms = duration_ms
            case {"event": "finished", "id": identifier, "outcome": outcome, **rest}:
                finished = Finished(
                    scenario=self.planned[identifier],
                    outcome=Outcome(outcome),
                    message=rest["message"],
                    violations=tuple(rest["violations"]),
                    duration_ms=rest["duration_ms"],
                    trace=tuple(rest["trace"]),
                    figures=rest["figures"],
                    gap=self.gaps.get(self.planned[identifier].check, ""),
                )
                self.finished.append(finished)

    @property
    def counts(self) -> Counter[Outcome]:
        """How many scenarios came to which outcome."""
        return Counter(entry.outcome for entry in self.finished)

    @property
    def failures(self) -> list[Finished]:
        """What makes the run fail, in order."""
        return [entry for entry in self.finished if entry.is_failure]

    @property
    def checks(self) -> dict[str, Outcome]:
        """The verdict of each check, the worst of its rows."""
        rows: dict[str, list[Outcome]] = {}
        for entry in self.finished:
            rows.setdefault(entry.scenario.check, []).append(entry.outcome)
        return {check: outcome for check, found in rows.items() if (outcome := worst(found)) is not None}

    @property
    def requirements(self) -> dict[str, Outcome]:
        """The verdict on each requirement that a check is tagged with, or that a violation names."""
        found: dict[str, list[Outcome]] = {}
        for entry in self.finished:
            for identifier in {*entry.scenario.requirements, *(v["req"] for v in entry.violations)}:
                found.setdefault(identifier, []).append(entry.outcome)
        return {i: outcome for i, outcomes in sorted(found.items()) if (outcome := worst(outcomes)) is not None}

    @property
    def figures(self) -> dict[str, dict[str, float]]:
        """What was measured, by name: how often, and the least, the median and the most of it."""
        found: dict[str, list[float]] = {}
        for entry in self.finished:
            for name, value in entry.figures.items():
                found.setdefault(name, []).append(value)
        return {
            name: {"count": len(values), "min": min(values), "median": median(values), "max": max(values)}
            for name, values in sorted(found.items())
        }

    @property
    def closed_gaps(self) -> list[str]:
        """Checks that are listed as known to fail, and passed."""
        return [check for check in self.gaps if self.checks.get(check) in (Outcome.PASS, Outcome.WARN)]


def repeat_command(scenario: Planned, options: list[str]) -> str:
    """The command line that runs this scenario alone.

    Args:
        options: of `llama-orch conform`, as the run was started.
    """
    name, _, row = scenario.id.rpartition("::")[2].removesuffix("]").partition("[")
    words = ["--check", scenario.check]
    if row and KEYWORD.fullmatch(row):
        words += ["-k", f"{name} and {row}"]
    if scenario.disturbs and "--url" in options and "--disturb" not in options:
        words += ["--disturb"]
    return shlex.join(["llama-orch", "conform", *options, *words])

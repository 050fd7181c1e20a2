"""A check: what is looked at, which sentence it proves, how bad a failure is, and who runs it.

Source: OC-TEST-7022.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

PROFILES = ("core", "data-plane", "control-plane", "catalog", "observability", "security", "full")
"""What a run can be restricted to. `core` is quick and disturbs nobody; `full` is everything."""

ID = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*(?:/[a-z0-9]+(?:[-.][a-z0-9]+)*)+")

Severity = Literal["MUST", "SHOULD", "MAY"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check.

    Attributes:
        id: `SUITE/NAME`; of a scenario its feature and its title, so that it outlives a move inside the file.
        requirements: the sentences that it proves, sorted.
        severity: the strongest of its sentences': a MUST that does not hold fails, a SHOULD warns.
        profiles: those that run it, `full` always among them.
        disturbs: it fills slots or queues, or needs the server for itself.
    """

    id: str
    requirements: tuple[str, ...]
    severity: Severity
    profiles: frozenset[str]
    disturbs: bool = False


def slug(text: str) -> str:
    """`A task's "end"` as `a-tasks-end`: letters and digits, and one dash for everything else."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower().replace("'", "")).strip("-")


def require_id(text: str) -> None:
    """Raise ValueError for what is no id of a check."""
    if not ID.fullmatch(text):
        raise ValueError(f"{text!r} is no id of a check: SUITE/NAME, in kebab-case")


def severity_of(levels: Iterable[Severity]) -> Severity:
    """The strongest of these levels; MUST when there is none, for what nobody has classed may matter."""
    found = set(levels)
    strongest: tuple[Severity, ...] = ("MUST", "SHOULD", "MAY")
    return next((level for level in strongest if level in found), "MUST")

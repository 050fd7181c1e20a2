"""What a rule finds in a history, and what a rule is."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from chaos.facts import Facts
from harness.checks.violation import Violation


@dataclass(frozen=True, slots=True)
class Finding:
    """One violation of one rule.

    Attributes:
        rule: its name.
        subject: what it was found on: a task, a session, or the run. Rule and subject name it when it is shrunk.
        at_ms: when it showed, for the timeline; None when it is of no moment.
    """

    rule: str
    subject: str
    violation: Violation
    at_ms: float | None = None


Rule = Callable[[Facts], Iterable[Finding]]
"""Pure: a history that has been read, to what breaks the rule in it."""

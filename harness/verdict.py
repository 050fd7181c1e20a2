"""From what a scenario raised to its outcome. Pure.

Severity follows the keyword of the sentence: MUST fails, SHOULD and MAY warn. A `Given` that fails is a missing
prerequisite: the scenario's own question was never asked.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from harness.checks.violation import Violation
from harness.expect import ViolationError
from harness.outcome import HangError, NotApplicableError, NotTestableError, Outcome, UnknownError

TIMEOUT_TEXT = "from pytest-timeout"

LevelOf = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one scenario ended.

    Attributes:
        message: why, in words; empty on PASS.
    """

    outcome: Outcome
    message: str = ""
    violations: tuple[Violation, ...] = ()

    def told(self) -> dict[str, Any]:
        """In plain types, as it travels between processes."""
        found = [asdict(violation) for violation in self.violations]
        return {"outcome": str(self.outcome), "message": self.message, "violations": found, "trace": [], "figures": {}}


def verdict_of(error: BaseException | None, *, in_given: bool, level_of: LevelOf, lost: Sequence[str] = ()) -> Verdict:
    """The verdict on a scenario that raised `error`, or nothing.

    Args:
        in_given: a `Given` step raised it.
        level_of: MUST, SHOULD or MAY of a requirement id.
        lost: what it builds on and what did not hold any more by then: that may be why it failed.
    """
    verdict = _verdict_of(error, in_given=in_given, level_of=level_of)
    if not lost or verdict.outcome not in (Outcome.FAIL, Outcome.WARN):
        return verdict
    return Verdict(Outcome.UNKNOWN, f"what it builds on did not last: {'; '.join(lost)}\n{verdict.message}")


def _verdict_of(error: BaseException | None, *, in_given: bool, level_of: LevelOf) -> Verdict:
    if error is None:
        return Verdict(Outcome.PASS)
    message, violations = str(error), getattr(error, "violations", ())
    if isinstance(error, (NotApplicableError, UnknownError)):
        return Verdict(Outcome.UNKNOWN if isinstance(error, UnknownError) else Outcome.NOT_APPLICABLE, message)
    if isinstance(error, ViolationError) and all(level_of(v.req) != "MUST" for v in violations):
        return Verdict(Outcome.WARN, message, violations)
    if in_given or isinstance(error, NotTestableError):
        return Verdict(Outcome.NOT_TESTABLE, message, violations)
    if isinstance(error, HangError) or TIMEOUT_TEXT in message:
        return Verdict(Outcome.HANG, message)
    return Verdict(Outcome.FAIL, message or type(error).__name__, violations)

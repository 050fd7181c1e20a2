"""Expectations of one exchange, for steps and tests: raise with the sentence, what came, and the exchange.

`assert_error` is the one way to hold a refusal to its code.
"""

from collections.abc import Iterable

from harness.checks import answer
from harness.checks.violation import Violation
from harness.error_codes import registry
from harness.history import Exchange, Stream


class ViolationError(AssertionError):
    """Sentences of the specs that did not hold.

    Attributes:
        violations: at least one.
    """

    def __init__(self, violations: Iterable[Violation]) -> None:
        self.violations = tuple(violations)
        super().__init__("\n".join(str(violation) for violation in self.violations))


def require(violations: Iterable[Violation]) -> None:
    """Raise when there is any violation."""
    found = tuple(violations)
    if found:
        raise ViolationError(found)


def assert_status(exchange: Exchange, status: int, *, req: str) -> None:
    """The exchange was answered with this status."""
    if exchange.status != status:
        raise ViolationError([Violation(req, f"status {status}", f"status {exchange.status}", str(exchange))])


def assert_error(exchange: Exchange, code: str) -> None:
    """The exchange was refused with this code, its status, its headers and its fields."""
    expected = registry()[code]
    actual = exchange.json.get("code") if isinstance(exchange.json, dict) else None
    if exchange.status != expected.http or actual != code:
        text = f"{code} with status {expected.http}"
        raise ViolationError([Violation("OC-CTRL-2030", text, f"{actual} with {exchange.status}", str(exchange))])
    require(violation for check in answer.CHECKS for violation in check(exchange))


def assert_ended_with(stream: Stream, code: str) -> None:
    """The stream ended with an `error` frame of this code."""
    last = stream.terminal
    actual = last.payload.get("code") if last is not None and isinstance(last.payload, dict) else None
    if last is None or last.event != "error" or actual != code:
        shown = f"{last.event} {actual or ''}".strip() if last is not None else "no terminal frame"
        raise ViolationError([Violation("OC-CTRL-2030", f"an error frame with {code}", shown, str(stream))])


def assert_ended_well(stream: Stream) -> None:
    """The stream ended with an `end` frame."""
    last = stream.terminal
    if last is None or last.event != "end":
        shown = f"{last.event} {last.data}" if last is not None else "no terminal frame"
        raise ViolationError([Violation("OC-CTRL-2022", "an end frame", shown, str(stream))])

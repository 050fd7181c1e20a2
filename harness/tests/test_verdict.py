"""Every way a scenario can end has its own outcome."""

import pytest

from harness.checks.violation import Violation
from harness.expect import ViolationError
from harness.outcome import HangError, NotApplicableError, NotTestableError, Outcome, UnknownError
from harness.verdict import verdict_of

LEVELS = {"ORCH-2001": "MUST", "ORCH-3006": "SHOULD", "ORCH-3092": "MAY"}


def violation(*ids: str) -> ViolationError:
    return ViolationError([Violation(identifier, "this", "that") for identifier in ids])


@pytest.mark.parametrize(
    ("error", "in_given", "expected"),
    [
        pytest.param(None, False, Outcome.PASS, id="nothing"),
        pytest.param(violation("ORCH-2001"), False, Outcome.FAIL, id="must"),
        pytest.param(violation("ORCH-3006"), False, Outcome.WARN, id="should"),
        pytest.param(violation("ORCH-3092"), False, Outcome.WARN, id="may"),
        pytest.param(violation("ORCH-3006", "ORCH-2001"), False, Outcome.FAIL, id="should-and-must"),
        pytest.param(AssertionError("x"), False, Outcome.FAIL, id="plain-assertion"),
        pytest.param(ValueError("x"), False, Outcome.FAIL, id="defect-of-a-step"),
        pytest.param(AssertionError("x"), True, Outcome.NOT_TESTABLE, id="given-failed"),
        pytest.param(HangError("x"), True, Outcome.NOT_TESTABLE, id="given-hung"),
        pytest.param(NotTestableError("x"), False, Outcome.NOT_TESTABLE, id="prerequisite"),
        pytest.param(UnknownError("x"), False, Outcome.UNKNOWN, id="shown-nothing"),
        pytest.param(HangError("x"), False, Outcome.HANG, id="deadline"),
        pytest.param(RuntimeError("Timeout (>1s) from pytest-timeout."), False, Outcome.HANG, id="timeout"),
        pytest.param(NotApplicableError("x"), True, Outcome.NOT_APPLICABLE, id="does-not-apply"),
    ],
)
def test_what_was_raised_decides(error: BaseException | None, in_given: bool, expected: Outcome) -> None:
    assert expected == verdict_of(error, in_given=in_given, level_of=LEVELS.__getitem__).outcome


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Outcome.PASS, False),
        (Outcome.WARN, False),
        (Outcome.NOT_APPLICABLE, False),
        (Outcome.UNKNOWN, False),
        (Outcome.FAIL, True),
        (Outcome.HANG, True),
        (Outcome.NOT_TESTABLE, True),
    ],
    ids=str,
)
def test_what_makes_a_run_fail(outcome: Outcome, expected: bool) -> None:
    assert expected == outcome.is_failure

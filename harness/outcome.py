"""What a scenario or a check can come to, and the exceptions that say so from inside one.

PASS            the server did what the sentence says
FAIL            it did not, and the sentence says MUST
WARN            it did not, and the sentence says SHOULD
NOT_TESTABLE    what the scenario builds on failed before its own question could be asked; counts as a failure
NOT_APPLICABLE  the server does not claim the ability, or the run cannot reach it; says why
UNKNOWN         nothing was found wrong and nothing was shown: it sent or asserted nothing, its fault did not happen,
                or the harness itself was too late to measure; never counts as passed
HANG            something that had to come did not come in time; counts as a failure
"""

from enum import StrEnum


class Outcome(StrEnum):
    """The result of one scenario."""

    PASS = "PASS"  # noqa: S105 - a verdict, no password
    FAIL = "FAIL"
    WARN = "WARN"
    NOT_TESTABLE = "NOT_TESTABLE"
    NOT_APPLICABLE = "NOT_APPLICABLE"
    UNKNOWN = "UNKNOWN"
    HANG = "HANG"

    @property
    def is_failure(self) -> bool:
        """The run as a whole fails because of it."""
        return self in (Outcome.FAIL, Outcome.NOT_TESTABLE, Outcome.HANG)


class NotTestableError(AssertionError):
    """A prerequisite of the scenario is missing."""


class NotApplicableError(Exception):
    """The scenario does not apply to this server; the text says why."""


class UnknownError(Exception):
    """The scenario ran and has shown nothing; the text says why."""


class LateError(UnknownError):
    """The harness itself was too late for what it wanted to measure."""


class HangError(AssertionError):
    """A wait reached its deadline."""


UNMET = (HangError, LateError)
"""What a wait that was not met ends with."""


class TooLateError(AssertionError):
    """Something came, and later than it had to."""

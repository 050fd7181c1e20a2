"""Why the domain says no, and why a task ended badly: one value for both.

    RefusedError              a request was not accepted; nothing was changed
    IllegalTransitionError    an event came that this state does not allow: a defect of ours; nothing was changed

A `Failure` is a fact, not an exception: it is carried by `RefusedError`, stored in a failed task, and shown in an
`error` frame. Codes are those of `contracts/errors.yaml`.

Source: ORCH-2006, ORCH-2007, OC-CTRL-2030 … 2032.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A typed reason.

    Attributes:
        retriable: None = the client is not told either way.
        retry_after_ms: measured estimate of when a retry has a chance, milliseconds, ≥ 1; None = no estimate.
        policy_label: which rule refused; required with HTTP 429.
    """

    code: str
    message: str
    engine: str | None = None
    pool_id: str | None = None
    retriable: bool | None = None
    retry_after_ms: int | None = None
    policy_label: str | None = None


class RefusedError(Exception):
    """A request was not accepted, and nothing was changed."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.code}: {failure.message}")
        self.failure = failure


class IllegalTransitionError(Exception):
    """This state does not allow this event. Nothing was changed."""

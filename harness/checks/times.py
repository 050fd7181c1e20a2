"""What a server says of times, held against what became of them: `Retry-After`, and predicted starts. Pure.

Source: OC-CORE-1042, OC-CORE-1044, OC-CORE-1045, OC-CORE-1047, OC-TEST-7026.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from harness.checks.violation import Violation
from harness.outcome import LateError

SHARE = 0.9  # of those who come again in time, that have to be admitted
KNOWN_MIN = 10  # fewer comebacks that count show no share
LONG_FACTOR, LONG_EXTRA_MS = 2.0, 1_000.0
GAP_LONG_MS = 30.0  # an acknowledgement is delayed by 40 ms
GAPS_LONG_SHARE = 0.1

EXACT_MS = 100.0  # who comes again later than this has not waited exactly


@dataclass(frozen=True, slots=True, kw_only=True)
class Comeback:
    """One client that a full queue has refused, and that came again. Milliseconds after its refusal.

    Attributes:
        told_ms: `retry_after_ms`.
        due_ms: `Retry-After`.
        freed_ms: when a place was free, as its next task started.
        came_ms: when it came again.
        late_ms: by how much the harness and its machine were late by then.
    """

    told_ms: float
    due_ms: float
    freed_ms: float
    came_ms: float
    late_ms: float
    is_admitted: bool

    @property
    def is_known(self) -> bool:
        """It came when it should; and if it was refused, that was not for want of a processor."""
        return self.came_ms - self.due_ms <= EXACT_MS and (
            self.is_admitted or self.freed_ms - self.came_ms > self.late_ms
        )


def retry_after_is_kept(comebacks: Sequence[Comeback]) -> Iterator[Violation]:
    """Nine of ten are admitted, and nobody is told to wait much longer than a place takes.

    Raises:
        LateError: too few of them count, because the harness was late.
    """
    long = [c for c in comebacks if _is_long(c.told_ms, c.freed_ms)]
    if long:
        worst = max(long, key=lambda c: c.told_ms - c.freed_ms)
        actual = f"{len(long)} of {len(comebacks)} longer; {worst.told_ms:.0f} ms, and free after {worst.freed_ms:.0f}"
        yield Violation("OC-CORE-1045", "retry_after_ms of at most twice the time to a free place and 1 s", actual)
    known = [c for c in comebacks if c.is_known]
    if len(known) < KNOWN_MIN:
        late_ms = max((c.late_ms for c in comebacks), default=0.0)
        raise LateError(
            f"{len(known)} of {len(comebacks)} came again in time; the harness was late by {late_ms:.0f} ms"
        )
    admitted = sum(c.is_admitted for c in known)
    if admitted < SHARE * len(known):
        yield Violation("OC-CORE-1044", f"{SHARE:.0%} admitted after Retry-After", f"{admitted} of {len(known)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """One task that waited.

    Attributes:
        at_ms: when it was admitted.
        told_ms: `predicted_start_ms`, from then on.
        took_ms: how long it really waited.
    """

    at_ms: float
    told_ms: float
    took_ms: float


def predictions_follow_the_queue(waited: Sequence[Predicted], *, late_ms: float) -> Iterator[Violation]:
    """The last of those that were submitted at once is predicted to start later than the first, as it does.

    Args:
        late_ms: by how much the harness and its machine were late while they waited.

    Raises:
        LateError: they were not submitted at once: the queue had moved on meanwhile; or the last started later than
            it was told, and the harness was late by what that takes.
    """
    first, last = waited[0], waited[-1]
    submitted_ms = last.at_ms - first.at_ms
    actual_ms = submitted_ms + last.took_ms - first.took_ms
    told_ms = submitted_ms + last.told_ms - first.told_ms
    if submitted_ms > actual_ms / 4:
        raise LateError(f"the harness took {submitted_ms:.0f} ms to submit what started within {actual_ms:.0f} ms")
    if told_ms >= actual_ms / 2:
        return
    expected = f"a predicted start of the last about {actual_ms:.0f} ms after that of the first"
    actual = f"{told_ms:.0f} ms; told {[p.told_ms for p in waited]}"
    if told_ms >= (actual_ms - late_ms) / 2:
        raise LateError(f"expected {expected}, and it was {actual}; the harness was late by {late_ms:.0f} ms")
    yield Violation("OC-CORE-1042", expected, actual)


def predictions_come_true(waited: Sequence[Predicted], *, measured_late: float, late_ms: float) -> Iterator[Violation]:
    """Neither prediction nor wait is more than twice the other and a second.

    Args:
        measured_late: how much of the time in which the pace was measured was the harness's own, 0 … 1.
        late_ms: by how much the harness and its machine were late while they waited.

    Raises:
        LateError: one is off, and without that it might not be.
    """
    off = [task for task in waited if _is_long(task.told_ms, task.took_ms) or _is_long(task.took_ms, task.told_ms)]
    wrong = [
        task
        for task in off
        if _is_long(task.told_ms * (1 - measured_late), task.took_ms) or _is_long(task.took_ms - late_ms, task.told_ms)
    ]
    told = "; ".join(f"told {task.told_ms:.0f} ms, took {task.took_ms:.0f} ms" for task in wrong or off)
    if wrong:
        expected = "a predicted start of at most twice the wait and 1 s, and a wait of at most twice that and 1 s"
        yield Violation("OC-CORE-1047", expected, told)
    elif off:
        late = f"by {late_ms:.0f} ms, and {measured_late:.0%} of the time in which the pace was measured"
        raise LateError(f"{told}; the harness was late {late}")


def _is_long(one_ms: float, other_ms: float) -> bool:
    return one_ms > LONG_FACTOR * other_ms + LONG_EXTRA_MS


def tokens_flow(gaps_ms: Sequence[float], *, late_ms: float) -> Iterator[Violation]:
    """Tokens that are made every few milliseconds come so, not in bursts that wait for acknowledgements.

    Raises:
        LateError: too many gaps are long, and the harness was late for long enough to have made them.
    """
    over_ms = sorted(gap - GAP_LONG_MS for gap in gaps_ms if gap > GAP_LONG_MS)
    too_many = len(over_ms) - int(GAPS_LONG_SHARE * len(gaps_ms))
    if too_many <= 0:
        return
    if sum(over_ms[:too_many]) <= late_ms:  # enough to have made these of gaps that were short
        raise LateError(f"{len(over_ms)} of {len(gaps_ms)} gaps are long; the harness was late by {late_ms:.0f} ms")
    expected = f"at most {GAPS_LONG_SHARE:.0%} of the gaps between tokens above {GAP_LONG_MS:.0f} ms"
    yield Violation("OC-CTRL-2083", expected, f"{len(over_ms)} of {len(gaps_ms)}, the longest {max(gaps_ms):.0f} ms")


def prediction_figures(waited: Sequence[Predicted]) -> dict[str, float]:
    """How far predictions were off: the median and the largest, in milliseconds, and the median share of the wait."""
    errors = [abs(task.told_ms - task.took_ms) for task in waited]
    shares = [error / max(task.took_ms, 1.0) for error, task in zip(errors, waited, strict=True)]
    return {
        "predicted_start_error_ms": round(median(errors), 1),
        "predicted_start_error_max_ms": round(max(errors), 1),
        "predicted_start_error_ratio": round(median(shares), 3),
    }

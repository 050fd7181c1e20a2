"""The order in which waiting tasks are served, by when their streams began.

Source: ORCH-3004, OC-CORE-1003, OC-CORE-1004.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from harness.checks.violation import Violation


def service_order(submitted: Sequence[tuple[str, str]]) -> list[str]:
    """How tasks that all wait are to be served: interactive before batch, and each lane in order of arrival.

    Args:
        submitted: (task, priority), in order of arrival.
    """
    lanes = [[task for task, priority in submitted if priority == lane] for lane in ("interactive", "batch")]
    return [task for lane in lanes for task in lane]


def served_in_order(submitted: Sequence[tuple[str, str]], started_ms: Mapping[str, float]) -> Iterator[Violation]:
    """Interactive goes first, and within a lane who came first.

    Args:
        submitted: (task, priority), in order of arrival, all of them while every slot was busy.
        started_ms: when each started, as far as it did.
    """
    expected = [task for task in service_order(submitted) if task in started_ms]
    actual = sorted(expected, key=lambda task: started_ms[task])
    if actual != expected:
        position = {task: number for number, (task, _) in enumerate(submitted, 1)}
        numbers = [[position[task] for task in row] for row in (expected, actual)]
        yield Violation("OC-CORE-1004", f"tasks served in the order {numbers[0]}", f"{numbers[1]}")


def positions_follow_arrival(positions: Sequence[int]) -> Iterator[Violation]:
    """Of tasks of one lane that all wait, each is told a place behind the one before."""
    if any(later <= earlier for earlier, later in pairwise(positions)):
        yield Violation("OC-CORE-1003", "queue positions that rise with every arrival", f"{list(positions)}")

"""Judges alone what nobody could tell beside other work, because the harness itself was late.

A verdict is never asked for twice: only what came to none is, and what this second run comes to stands.

Source: OC-TEST-7026, OC-TEST-7095.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from harness.conform import Event, Selection
from harness.report.result import Result
from harness.saboteur.matrix import CONTROL, Matrix


class _Into:
    """Takes a run into a matrix."""

    def __init__(self, matrix: Matrix) -> None:
        self.matrix, self.result = matrix, Result()

    def take(self, event: Event) -> None:
        self.result.take(event)
        if event["event"] == "planned":
            self.matrix.plan(self.result.planned.values())
        elif event["event"] == "finished":
            self.matrix.take(self.result.finished[-1])
        elif event["event"] == "left_behind":
            self.matrix.left_behind += self.result.left_behind

    def close(self, exit_code: int, log: str) -> None:
        """Nothing is shown of it."""

    @property
    def is_whole(self) -> bool:
        result = self.result
        return bool(result.planned) and not result.stopped and len(result.planned) == len(result.finished)


def judge_again(matrix: Matrix, selection: Selection, run: Callable[[Selection, Sequence[_Into]], int]) -> None:
    """Run the checks that could not tell once more, one at a time, and take in what they come to.

    Args:
        selection: of the run that could not tell.
        run: `harness.conform.run`.
    """
    late = matrix.late
    concerned = [defect for defect in matrix.defects if late & matrix.rows.get(defect, {}).keys()]
    alone = replace(selection, checks=tuple(sorted(late)), planted=(CONTROL, *concerned), jobs=1)
    again = _Into(Matrix({defect: matrix.defects[defect] for defect in concerned}))
    run(alone, [again])
    if again.is_whole:
        matrix.settle(again.matrix)

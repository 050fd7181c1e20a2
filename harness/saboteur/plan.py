"""Where to look first: for each defect the checks that are known to find it, of those that could.

A proof by this plan runs just enough to see each defect found and each check find one: what was found once is not
taken as found, it is looked at again. A defect or a check that the plan does not know yet runs with all of its
requirement. The plan is written by `llama-orch prove --write-plan`.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness.saboteur.matrix import Cell, Matrix

FILE = Path(__file__).with_name("plan.json")


@dataclass(frozen=True, slots=True)
class Planned:
    """One defect.

    Attributes:
        checks: that run with it.
        others: that could look at it too, and need not.
    """

    checks: frozenset[str]
    others: frozenset[str]


@cache
def load() -> Mapping[str, Planned]:
    """Read the plan, by defect."""
    found = json.loads(FILE.read_text("utf-8"))
    return {defect: Planned(frozenset(entry["checks"]), frozenset(entry["others"])) for defect, entry in found.items()}


def of(matrix: Matrix, duration_ms: Mapping[tuple[str, str], int]) -> dict[str, dict[str, list[str]]]:
    """The cheapest plan that shows all that a full proof has shown, by a greedy choice.

    Args:
        duration_ms: what each defect with each check has cost.
    """
    chosen: dict[str, set[str]] = {defect: set() for defect in matrix.defects}
    cells = sorted(matrix.cells, key=lambda cell: duration_ms.get((cell.defect, cell.check), 0))
    _choose(chosen, (cell for cell in cells if cell.found and cell.is_own and cell.by_step), by_check=True)
    _choose(chosen, (cell for cell in cells if cell.found and cell.is_own), by_check=False)
    return {
        defect: {
            "checks": sorted(checks),
            "others": sorted(cell.check for cell in matrix.of(defect) if cell.check not in checks),
        }
        for defect, checks in sorted(chosen.items())
        if checks
    }


def _choose(chosen: dict[str, set[str]], cells: Iterable[Cell], *, by_check: bool) -> None:
    """Take the first cell of each check, or of each defect that has none yet."""
    seen = {defect for defect, checks in chosen.items() if checks} if not by_check else set()
    for cell in cells:
        key = cell.check if by_check else cell.defect
        if key not in seen:
            seen.add(key)
            chosen[cell.defect].add(cell.check)

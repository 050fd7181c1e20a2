"""Where to look first: for each defect the checks that are known to find it, of those that could.

A proof by this plan runs just enough to see each defect found and each check find one: what was found once is not
taken as found, it is looked at again. A defect or a check that the plan does not know yet runs with all of its
requirement. The plan is written by `llama-orch prove --write-plan`, with `--defect ID` for a new defect alone.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
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

    checks: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()


Plan = Mapping[str, Planned]


@cache
def load() -> Plan:
    """Read the plan, by defect."""
    found = json.loads(FILE.read_text("utf-8"))
    return {defect: Planned(frozenset(entry["checks"]), frozenset(entry["others"])) for defect, entry in found.items()}


def encoded(plan: Plan) -> str:
    """As the file has it."""
    entries = sorted(plan.items())
    listed = {defect: {"checks": sorted(entry.checks), "others": sorted(entry.others)} for defect, entry in entries}
    return json.dumps(listed, indent=1) + "\n"


def stale(plan: Plan, defects: Collection[str], checks: Collection[str]) -> Iterator[str]:
    """Say where a plan is older than these defects and checks."""
    yield from (f"{defect}: the plan does not know it" for defect in defects if defect not in plan)
    yield from (f"{defect}: no such defect" for defect in plan if defect not in defects)
    for defect, entry in plan.items():
        yield from (f"{defect}: no such check: {c}" for c in sorted(entry.checks | entry.others) if c not in checks)


def without_gone(plan: Plan, defects: Collection[str], checks: Collection[str]) -> Plan:
    """The plan of what there still is."""
    kept = {defect: entry for defect, entry in plan.items() if defect in defects and entry.checks & set(checks)}
    return {d: Planned(entry.checks & set(checks), entry.others & set(checks)) for d, entry in kept.items()}


def of(matrix: Matrix, duration_ms: Mapping[tuple[str, str], int], known: Plan) -> Plan:
    """The cheapest plan that shows all that a proof has shown, by a greedy choice.

    Args:
        duration_ms: what each defect with each check has cost.
        known: what stays so, as far as the proof has not looked. Only a whole proof takes a check out of it.
    """
    elsewhere = {check for defect, entry in known.items() if defect not in matrix.defects for check in entry.checks}
    chosen: dict[str, set[str]] = {
        defect: set() if matrix.is_whole else set(known.get(defect, Planned()).checks) for defect in matrix.defects
    }
    cells = sorted(matrix.cells, key=lambda cell: duration_ms.get((cell.defect, cell.check), 0))
    own = [cell for cell in cells if cell.found and cell.is_own]
    seen = elsewhere.union(*chosen.values())
    _choose(chosen, (cell for cell in own if cell.by_step), key=lambda cell: cell.check, seen=seen)
    _choose(chosen, own, key=lambda cell: cell.defect, seen={defect for defect, checks in chosen.items() if checks})
    looked = {defect: {cell.check for cell in matrix.of(defect)} for defect in matrix.defects}
    found = {defect: checks for defect, checks in chosen.items() if checks}
    return {**known, **{d: _entry(checks, looked[d], known.get(d, Planned())) for d, checks in found.items()}}


def _entry(checks: set[str], looked: set[str], known: Planned) -> Planned:
    return Planned(frozenset(checks), (known.checks | known.others | looked) - checks)


def _choose(
    chosen: Mapping[str, set[str]], cells: Iterable[Cell], *, key: Callable[[Cell], str], seen: set[str]
) -> None:
    """Take the first cell of each key that is not seen yet."""
    for cell in cells:
        if key(cell) not in seen:
            seen.add(key(cell))
            chosen[cell.defect].add(cell.check)

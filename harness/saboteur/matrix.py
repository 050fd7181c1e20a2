"""What a proof has shown: which check has found which defect. Pure, from the events of a run.

A defect is found by a check that failed while it fired: FAIL, or WARN where it breaks no MUST. HANG, NOT_TESTABLE and
UNKNOWN find nothing: something else may be the reason. It is killed when a check of its own requirement has found it,
one that names the requirement or whose violation does. A check has killed by itself only where one of its own steps has
found the defect, and not a rule that holds for everything and would have found it in any other check too.

Source: OC-TEST-7027.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness import requirements
from harness.outcome import Outcome
from harness.report.result import Finished, Planned
from harness.saboteur.defect import Defect

CONTROL = "none"
PLANTED = re.compile(r"~([a-z0-9-]+)\](?:@.*)?$")


@dataclass(frozen=True, slots=True)
class Cell:
    """One defect and one check.

    Attributes:
        found: it failed, while the defect fired.
        by_step: a step of its own has found it.
        is_own: it looks at a requirement that the defect breaks.
        outcome: the strongest of its rows.
    """

    defect: str
    check: str
    outcome: Outcome
    found: bool
    by_step: bool
    is_own: bool
    fired: bool
    message: str


@dataclass
class Matrix:
    """Everything that a proof has shown.

    Attributes:
        defects: that were to be planted, by id.
        rows: the cells of each defect, by check.
        harmed: checks that do not pass unharmed, with what they said.
        not_judged: checks that could not tell unharmed, because the harness itself was late.
        checks: every check that was to run, by id.
        off_wire: checks that no defect on the wire can fail, with the reason.
        is_whole: every defect was to be planted: only then a check that has found nothing can be told.
        left_behind: `pid` and `command` of each process that outlived the runs.
    """

    defects: Mapping[str, Defect]
    off_wire: Mapping[str, str] = field(default_factory=dict)
    is_whole: bool = True
    rows: dict[str, dict[str, Cell]] = field(default_factory=dict)
    harmed: dict[str, str] = field(default_factory=dict)
    not_judged: dict[str, str] = field(default_factory=dict)
    not_applicable: dict[str, str] = field(default_factory=dict)
    checks: dict[str, Planned] = field(default_factory=dict)
    left_behind: list[dict[str, Any]] = field(default_factory=list)

    def plan(self, planned: Iterable[Planned]) -> None:
        """Take in what is to run."""
        self.checks = {entry.check: entry for entry in planned}

    def take(self, entry: Finished) -> None:
        """Take in what has run."""
        match = PLANTED.search(entry.scenario.id)
        defect, check = match.group(1) if match else CONTROL, entry.scenario.check
        if defect == CONTROL:
            if entry.outcome is Outcome.NOT_APPLICABLE:
                self.not_applicable[check] = entry.message
            elif entry.outcome is Outcome.UNKNOWN:
                self.not_judged[check] = entry.message
            elif entry.outcome not in (Outcome.PASS, Outcome.WARN):
                self.harmed[check] = f"{entry.outcome}: {entry.message}"
            return
        cell = self._cell(entry, self.defects[defect])
        row = self.rows.setdefault(defect, {})
        before = row.get(check)
        if before is None or (cell.found, cell.by_step, cell.fired) > (before.found, before.by_step, before.fired):
            row[check] = cell

    @property
    def late(self) -> set[str]:
        """The checks that could not tell because of the harness: unharmed, or of what nobody else found or proved."""
        cells = [cell for defect in self.undecided for cell in self.of(defect)]
        could_not = {cell.check for cell in cells if cell.is_own and cell.outcome is Outcome.UNKNOWN}
        return {*self.not_judged, *could_not, *self.unproved}

    def settle(self, again: "Matrix") -> None:
        """Take in what became of the checks that could not tell, when they ran alone."""
        self.not_judged = {check: why for check, why in self.not_judged.items() if check not in again.checks}
        self.not_judged |= again.not_judged
        self.harmed |= again.harmed
        self.left_behind += again.left_behind
        for defect, row in again.rows.items():
            before = self.rows.setdefault(defect, {})
            before |= {check: cell for check, cell in row.items() if check not in before or not before[check].found}

    def _cell(self, entry: Finished, defect: Defect) -> Cell:
        known = requirements.load()
        is_must = any(known[identifier].level == "MUST" for identifier in defect.breaks)
        finding = (Outcome.FAIL,) if is_must else (Outcome.FAIL, Outcome.WARN)
        named = {*entry.scenario.requirements, *(violation["req"] for violation in entry.violations)}
        fired = entry.figures.get("fired", 0) > 0
        found = fired and entry.outcome in finding
        return Cell(
            defect=defect.id,
            check=entry.scenario.check,
            outcome=entry.outcome,
            found=found,
            by_step=found and bool(entry.figures.get("by_step")),
            is_own=bool(named & set(defect.breaks)),
            fired=fired,
            message=entry.message,
        )

    def of(self, defect: str) -> list[Cell]:
        """What became of one defect, by check."""
        return [cell for _, cell in sorted(self.rows.get(defect, {}).items())]

    @property
    def cells(self) -> list[Cell]:
        """All of them."""
        return [cell for row in self.rows.values() for cell in row.values()]

    def killers(self, defect: str) -> list[str]:
        """The checks of its own requirement that have found it."""
        return [cell.check for cell in self.of(defect) if cell.found and cell.is_own and cell.check not in self.harmed]

    @property
    def planted(self) -> list[str]:
        """Defects that have fired."""
        return [defect for defect in self.defects if any(cell.fired for cell in self.of(defect))]

    @property
    def killed(self) -> list[str]:
        """Defects that a check of their own requirement has found."""
        return [defect for defect in self.planted if self.killers(defect)]

    @property
    def survivors(self) -> list[str]:
        """Defects that fired, and that no check of their own requirement has found, though one could tell."""
        return [defect for defect in self.planted if not self.killers(defect) and defect not in self.undecided]

    @property
    def undecided(self) -> dict[str, str]:
        """Defects that were found by nobody, while a check of their requirement could not tell, and why."""
        found = {}
        for defect in self.planted:
            late = [cell.message for cell in self.of(defect) if cell.is_own and cell.outcome is Outcome.UNKNOWN]
            if late and not self.killers(defect):
                found[defect] = late[0]
        return found

    @property
    def never_fired(self) -> dict[str, str]:
        """Defects that were not planted after all, and why: no check is proved by them."""
        found = {}
        planted = set(self.planted)
        for defect in self.defects:
            if defect not in planted:
                cells = self.of(defect)
                broken = next((cell.message for cell in cells if "defect itself" in cell.message), None)
                found[defect] = broken or (f"{len(cells)} checks ran" if cells else "no check names what it breaks")
        return found

    @property
    def idle(self) -> list[str]:
        """MUST checks none of whose steps has found a defect, though one on the wire could."""
        return sorted(self._without_a_find - self.late)

    @property
    def unproved(self) -> dict[str, str]:
        """MUST checks that have found nothing and could not tell of a defect of their requirement, and why."""
        idle = self._without_a_find
        cells = (cell for cell in self.cells if cell.check in idle and cell.is_own)
        return {cell.check: cell.message for cell in cells if cell.outcome is Outcome.UNKNOWN}

    @property
    def _without_a_find(self) -> set[str]:
        if not self.is_whole:
            return set()
        worked = {cell.check for cell in self.cells if cell.by_step}
        musts = {check for check, planned in self.checks.items() if planned.severity == "MUST"}
        return musts - worked - {*self.off_wire, *self.not_applicable}

    @property
    def stale(self) -> list[str]:
        """Checks that are said to be off the wire and have found a defect, or are no checks."""
        worked = {cell.check for cell in self.cells if cell.by_step}
        return sorted(set(self.off_wire) & worked) if self.is_whole else []

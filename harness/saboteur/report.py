"""A proof on the terminal and as JSON (`contracts/reports/prove.schema.json`)."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from harness.conform import EXIT_COULD_NOT_RUN, EXIT_FAIL, EXIT_PASS, Event
from harness.report.result import Result
from harness.saboteur.matrix import CONTROL, PLANTED, Cell, Matrix
from harness.saboteur.page import page

SCHEMA_VERSION = 1
LOG_LINES = 20
WIDTH = 48  # of a defect's id in the matrix

KEY = "K found by a step of the check, k by a rule that holds for everything, · not found, - not reached"


class ProofReport:
    """Shows a proof while it goes on, and at its end the matrix.

    Attributes:
        exit_code: of the proof; known at its end.
        duration_ms: what each defect with each check has cost.
    """

    def __init__(
        self, console: Console, matrix: Matrix, *, json_file: Path | None = None, html: Path | None = None
    ) -> None:
        self.exit_code = EXIT_COULD_NOT_RUN
        self.duration_ms: dict[tuple[str, str], int] = {}
        self._console, self._matrix, self._json, self._html = console, matrix, json_file, html
        self._result = Result()
        self._told: set[str] = set()
        self._log = ""
        columns = (MofNCompleteColumn(), BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._bar = self._progress.add_task("collecting the checks", total=None)
        self._progress.start()

    def take(self, event: Event) -> None:
        """Move the bar; say when a defect is killed, and when a check does not pass unharmed."""
        self._result.take(event)
        match event["event"]:
            case "planned":
                self._matrix.plan(self._result.planned.values())
                self._progress.update(self._bar, total=len(self._result.planned), description="")
            case "finished":
                self._progress.advance(self._bar)
                entry = self._result.finished[-1]
                self._matrix.take(entry)
                found = PLANTED.search(entry.scenario.id)
                pair = (found.group(1) if found else CONTROL, entry.scenario.check)
                self.duration_ms[pair] = self.duration_ms.get(pair, 0) + entry.duration_ms
                self._tell(*pair)
            case "left_behind":
                self._matrix.left_behind += self._result.left_behind

    def close(self, exit_code: int, log: str) -> None:
        """The run is over; what it has shown is told by `conclude`."""
        del exit_code  # checks fail here, as they should
        self._progress.stop()
        self._log = log

    @property
    def is_whole(self) -> bool:
        """Everything that was planned has run."""
        return bool(self._result.finished) and len(self._result.planned) == len(self._result.finished)

    def tell_late(self) -> None:
        """Say that what nobody could tell is judged again."""
        count = len(self._matrix.late)
        self._console.print(f"the harness was late in {count} checks: they run once more, alone", highlight=False)

    def conclude(self) -> None:
        """Print the matrix and the summary, and write the files."""
        matrix = self._matrix
        if self._result.stopped or not self._result.finished:
            why = self._result.stopped or "\n".join(self._log.splitlines()[-LOG_LINES:])
            self._console.print(f"[bold red]could not run[/]: {escape(why)}", soft_wrap=True, highlight=False)
            return
        unfinished = len(self._result.planned) - len(self._result.finished)
        self.exit_code = exit_code_of(matrix) if not unfinished else EXIT_COULD_NOT_RUN
        self._console.print(escape("\n".join(blocks(matrix))), highlight=False, soft_wrap=True)
        for line in summary(matrix):
            self._console.print(line, highlight=False, soft_wrap=True)
        if unfinished:
            self._console.print(f"[bold red]interrupted[/]: {unfinished} of {len(self._result.planned)} did not run")
        told = as_json(matrix, exit_code=self.exit_code)
        if self._html is not None:
            self._html.write_text(page(told), encoding="utf-8")
        if self._json is not None:
            self._json.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    def _tell(self, defect: str, check: str) -> None:
        if defect == CONTROL and check in self._matrix.harmed and check not in self._told:
            self._told.add(check)
            self._console.print(f"[bold red]unharmed, and red[/]  {check}", highlight=False, soft_wrap=True)
        elif defect not in self._told and defect != CONTROL and (killers := self._matrix.killers(defect)):
            self._told.add(defect)
            self._console.print(f"[green]killed[/]  {defect}  by {killers[0]}", highlight=False, soft_wrap=True)


def exit_code_of(matrix: Matrix) -> int:
    """0 proved; 1 a defect survived, a check has found none, a process was left; 3 not planted, or nobody can tell."""
    if matrix.survivors or matrix.idle or matrix.harmed or matrix.stale or matrix.left_behind:
        return EXIT_FAIL
    is_told = matrix.planted and not (matrix.never_fired or matrix.not_judged or matrix.undecided or matrix.unproved)
    return EXIT_PASS if is_told else EXIT_COULD_NOT_RUN


def blocks(matrix: Matrix) -> Iterator[str]:
    """The kill matrix as text, a block for each feature: its checks are the columns, its defects the rows."""
    yield f"\n{KEY}"
    areas: dict[str, list[str]] = {}
    for check in sorted({cell.check for cell in matrix.cells}):
        areas.setdefault(check.partition("/")[0], []).append(check)
    for area, checks in areas.items():
        yield f"\n{area}"
        yield from (f"  {number:>2} {check.partition('/')[2]}" for number, check in enumerate(checks, 1))
        yield " " * WIDTH + "".join(f"{number:>3}" for number in range(1, len(checks) + 1))
        for defect in matrix.defects:
            row = [matrix.rows.get(defect, {}).get(check) for check in checks]
            if any(row):
                yield f"{defect:<{WIDTH}}" + "".join(f"{_mark(cell):>3}" for cell in row)


def _mark(cell: Cell | None) -> str:
    if cell is None:
        return ""
    if cell.found:
        return "K" if cell.by_step else "k"
    return "·" if cell.fired else "-"


def summary(matrix: Matrix) -> Iterator[str]:
    """What does not hold, and the counts; with rich's markup."""
    for defect in matrix.survivors:
        seen = "; ".join(f"{c.check}: {c.outcome}" for c in matrix.of(defect) if c.fired)
        of = f"{', '.join(matrix.defects[defect].breaks)}: {matrix.defects[defect].says}"
        yield f"[bold red]survivor[/]  {defect}  {escape(of)}  {escape(seen)}"
        yield f"          repeat: llama-orch prove --defect {defect} --full"
    yield from (
        f"[bold red]not planted[/]  {d}: it never fired ({escape(why)})" for d, why in matrix.never_fired.items()
    )
    for name, why in {**matrix.not_judged, **matrix.undecided, **matrix.unproved}.items():
        yield f"[magenta]not judged[/]  {name}: {escape(why.splitlines()[0])}"
    for check, why in matrix.harmed.items():
        yield f"[bold red]red without a defect[/]  {check}: {escape(why.splitlines()[0])}"
    yield from (f"[bold red]finds nothing[/]  {check}: a MUST check that no defect can fail" for check in matrix.idle)
    yield from (f"[bold red]is on the wire[/]  {check}: take it out of off_wire.yaml" for check in matrix.stale)
    for one in matrix.left_behind:
        yield f"[bold red]left behind[/], and ended: {one['pid']} {escape(one['command'])}"
    worked = {cell.check for cell in matrix.cells if cell.by_step}
    yield (
        f"\n{len(matrix.planted)} planted, {len(matrix.killed)} killed by a check of their own requirement, "
        f"{len(matrix.survivors)} survivors, {len(matrix.never_fired)} never fired; "
        f"{len(worked)} of {len(matrix.checks)} checks have found one"
    )


def as_json(matrix: Matrix, *, exit_code: int) -> dict[str, Any]:
    """The whole proof."""
    return {
        "schema_version": SCHEMA_VERSION,
        "exit_code": exit_code,
        "left_behind": matrix.left_behind,
        "is_whole": matrix.is_whole,
        "planted": matrix.planted,
        "killed": matrix.killed,
        "survivors": matrix.survivors,
        "never_fired": matrix.never_fired,
        "not_judged": {**matrix.not_judged, **matrix.undecided, **matrix.unproved},
        "red_without_defect": matrix.harmed,
        "checks_that_find_nothing": matrix.idle,
        "wrongly_off_wire": matrix.stale,
        "off_wire": dict(matrix.off_wire),
        "not_applicable": matrix.not_applicable,
        "defects": [_told(matrix, defect) for defect in matrix.defects],
    }


def _told(matrix: Matrix, identifier: str) -> Mapping[str, Any]:
    defect = matrix.defects[identifier]
    return {
        "id": defect.id,
        "breaks": list(defect.breaks),
        "says": defect.says,
        "at": defect.at,
        "kind": defect.kind,
        "killed_by": matrix.killers(identifier),
        "checks": [
            {name: value for name, value in asdict(cell).items() if name != "defect"} for cell in matrix.of(identifier)
        ],
    }

"""`llama-orch prove`: that the checks can fail.

Exit codes: 0 proved, 1 a defect survived or a check has found none, 2 wrong usage, 3 could not run or could not plant.
"""

import importlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from harness.checks.violation import Violation
from harness.registry.evidence import conclude
from harness.registry.evidence import report as emit
from harness.saboteur.defect import Defect
from harness.saboteur.matrix import CONTROL, Matrix

CHECK = "prove/every-defect-is-found-and-every-check-finds-one"

Values = list[str] | None


def prove(
    *,
    defect: Annotated[Values, typer.Option(help="Only this defect; repeatable.")] = None,
    requirement: Annotated[Values, typer.Option(help="Only defects that break this requirement; repeatable.")] = None,
    list_only: Annotated[bool, typer.Option("--list", help="Only say which defects there are.")] = False,
    full: Annotated[
        bool,
        typer.Option("--full", help="Every check of the requirement that a defect breaks, not just enough of them."),
    ] = False,
    write_plan: Annotated[
        bool, typer.Option("--write-plan", help="Write down which checks are enough, when proved: for the next proof.")
    ] = False,
    all_checks: Annotated[
        bool, typer.Option("--all-checks", help="Run every check with every defect. Takes hours.")
    ] = False,
    defects_from: Annotated[
        str | None, typer.Option("--defects-from", help="Defects of your own too, from this Python module.")
    ] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes at a time. Default: one a core.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the whole proof to this file.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write the kill matrix as one self-contained HTML page.")] = None,
) -> None:
    """Prove that the checks can fail: plant defects on the wire, one at a time, and see each found.

    A proxy between harness and reference server plants what is wrong. Each defect has to be found by a check of the
    requirement that it breaks, each MUST check has to find one, and without a defect all of them pass through the same
    proxy. By default each defect runs with just as many checks as are needed to see that.

    Exit codes: 0 proved, 1 a defect survived or a check has found none, 2 wrong usage, 3 could not run or plant.

    Examples:

      llama-orch prove

      llama-orch prove --list

      llama-orch prove --defect a-token-after-the-cancel

      llama-orch prove --requirement OC-CTRL-2022 --full --json proof.json --html proof.html
    """
    from rich.console import Console

    from harness import requirements
    from harness.conform import EXIT_PASS, Selection, run
    from harness.explain import scenarios
    from harness.saboteur import off_wire, plan
    from harness.saboteur.again import judge_again
    from harness.saboteur.defects import DEFECTS
    from harness.saboteur.report import ProofReport

    total = len(DEFECTS)
    if defects_from is not None:
        try:
            importlib.import_module(defects_from)
        except (ImportError, ValueError) as error:
            raise typer.BadParameter(f"--defects-from {defects_from}: {error}") from None
    if wrong := [name for name in defect or () if name not in DEFECTS]:
        raise typer.BadParameter(f"no such defect: {', '.join(wrong)}; llama-orch prove --list names all")
    if wrong := [name for name in requirement or () if name not in requirements.load()]:
        raise typer.BadParameter(f"no specification states {', '.join(wrong)}")
    chosen = {d.id: d for d in _chosen(DEFECTS.values(), defect, requirement)}
    if list_only:
        typer.echo("\n".join(_lines(chosen.values())))
        return
    if not chosen:
        reasons = [off_wire.load().why(name) or "no defect breaks it" for name in requirement or ()]
        raise typer.BadParameter(f"nothing to plant: {'; '.join(reasons)}")
    if write_plan and defects_from:
        raise typer.BadParameter("--write-plan knows no defects but those of the saboteur")
    is_whole = len(chosen) >= total and not defect and not requirement
    matrix = Matrix(chosen, off_wire=off_wire.load().checks, is_whole=is_whole)
    report = ProofReport(Console(), matrix, json_file=json_file, html=html)
    selection = Selection(
        planted=(CONTROL, *chosen),
        jobs=jobs,
        disturb=True,
        all_checks=all_checks,
        by_plan=not full,
        defects_from=defects_from,
    )
    run(selection, [report])
    if report.is_whole and matrix.late:
        report.tell_late()
        judge_again(matrix, selection, run)
    report.conclude()
    tell(matrix)
    if write_plan and report.exit_code == EXIT_PASS:
        known = plan.without_gone(plan.load(), DEFECTS, {scenario.check for scenario in scenarios()})
        plan.FILE.write_text(plan.encoded(plan.of(matrix, report.duration_ms, known)), encoding="utf-8")
    raise typer.Exit(report.exit_code)


def _chosen(defects: Iterable[Defect], ids: Values, requirements: Values) -> Iterator[Defect]:
    for defect in defects:
        if (not ids or defect.id in ids) and (not requirements or set(requirements) & set(defect.breaks)):
            yield defect


def _lines(defects: Iterable[Defect]) -> Iterator[str]:
    found = list(defects)
    for defect in found:
        yield f"{defect.id}\n    {defect.says}\n    breaks {', '.join(defect.breaks)}   at {defect.at}"
    yield f"\n{len(found)} defects"


def tell(matrix: Matrix) -> None:
    """Report a whole proof as evidence, where evidence is kept; a part of it says nothing of the rest."""
    if matrix.is_whole:
        found = [*matrix.survivors, *matrix.idle, *matrix.harmed, *matrix.stale]
        wrong = [Violation("OC-TEST-7027", "every defect found, every check finds one", name) for name in found]
        fired, ran = not matrix.never_fired, len(matrix.cells)
        seen = f"{len(matrix.killed)} of {len(matrix.defects)} defects killed"
        lines = conclude(CHECK, ["OC-TEST-7027"], wrong, sent=ran, asserted=ran, fired=fired, evidence=seen)
        emit(lines, environ=os.environ)

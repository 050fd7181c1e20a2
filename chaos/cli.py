"""`llama-orch chaos`: one run, or the judgement of one that was recorded.

Exit codes: 0 pass, 1 fail or unknown, 2 wrong usage, 3 could not run or was interrupted.
"""

import json
import secrets
import shlex
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from chaos import record
from chaos.facts import Facts
from chaos.faults.registry import FAULTS
from chaos.judge import Verdict, evidence, judge
from chaos.report.folder import write_report
from chaos.run import run
from chaos.shrink import shrink
from chaos.stage import Options, UsageError
from chaos.workloads.registry import WORKLOADS
from harness import leftovers
from harness.conform import interrupted_by_sigterm
from harness.registry.evidence import report as emit
from harness.target import CannotRunError, split

EXIT_PASS, EXIT_FAIL, EXIT_USAGE, EXIT_COULD_NOT_RUN = 0, 1, 2, 3

DEFAULT_FAULTS = ("kill-server", "kill-engine", "cancel-storm", "vanishing-readers", "flood")
SHOWN_MAX = 5  # findings on the terminal; all are in the report
SEEDS = 2**31

STYLES = {"pass": "green", "fail": "bold red", "unknown": "yellow"}

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.callback(invoke_without_command=True)
def chaos(
    context: typer.Context,
    *,
    seed: Annotated[int | None, typer.Option(help="Decides data, errands and faults; default: a new one.")] = None,
    fault: Annotated[list[str] | None, typer.Option(help="May be repeated; `list` names all, `none` is none.")] = None,
    workload: Annotated[str, typer.Option(help="What the clients do; `list` names all.")] = "mixed",
    duration: Annotated[float, typer.Option(help="Seconds of faults.", min=0.1)] = 10.0,
    blows: Annotated[int | None, typer.Option(help="So many blows instead of a duration.", min=1)] = None,
    engine: Annotated[
        str | None, typer.Option(help="supervised: the server's child; attached: one that outlives it.")
    ] = None,
    launch: Annotated[
        str | None, typer.Option(help="Start this server: {config}, {state} and {port} in it are replaced.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for history, logs and reports.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON, and progress to stderr.")] = False,
) -> None:
    """Put a server under load and trouble, record everything, and judge what it did.

    The server is started by the run (by default the reference server), with a stand-in engine that keeps a witness.
    Phases: warm-up, faults, heal, wait, final reads, judge. A run whose faults did not hit is unknown, and fails.

    Exit codes: 0 pass, 1 fail or unknown, 2 wrong usage, 3 could not run or was interrupted.

    Examples:

      llama-orch chaos --seed 7

      llama-orch chaos --fault kill-server --workload steady --duration 30

      llama-orch chaos --fault cut --fault delay@engine --engine attached

      llama-orch chaos --launch "my-server --config {config} --port {port}" --fault cancel-storm

      llama-orch chaos replay out/history.jsonl

      llama-orch chaos list
    """
    if context.invoked_subcommand is not None:
        return
    if seed is None:
        seed = secrets.randbelow(SEEDS)
    console = Console(stderr=as_json, highlight=False, soft_wrap=True)
    options = Options(
        seed=seed,
        workload=_chosen(WORKLOADS, workload, "workload"),
        kinds=_kinds(fault or DEFAULT_FAULTS),
        duration_ms=round(duration * 1000),
        blows=blows,
        engine=engine,
        command=tuple(split(launch)) if launch else None,
        repeat=_repeat(seed, fault, workload, duration, blows, engine, launch),
    )
    folder = _folder(out)
    console.print(f"seed {seed}, workload {workload}, folder {folder}")
    try:
        options.engine_kind  # noqa: B018 - says so before anything is started when the options contradict each other
        with interrupted_by_sigterm(), leftovers.watched() as left:
            verdict = run(options, folder, lambda line: console.print(escape(line)))
    except UsageError as error:
        raise typer.BadParameter(str(error)) from None
    except CannotRunError as error:
        console.print(f"could not run: {escape(str(error))}")
        raise typer.Exit(EXIT_COULD_NOT_RUN) from None
    except KeyboardInterrupt:
        console.print(f"interrupted; what was recorded is in {folder}")
        raise typer.Exit(EXIT_COULD_NOT_RUN) from None
    records = record.read(folder / "history.jsonl")
    emit(evidence(Facts(records), verdict))
    _finish(console, verdict, write_report(folder, records, verdict, left), as_json=as_json)


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help="A history.jsonl, whole or shrunk.")],
    *,
    shrunk: Annotated[
        Path | None, typer.Option("--shrink", help="Write the part that shows the first finding.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Judge a recorded history again; nothing is started.

    A shrunk history proves what was found in it and nothing else: it is not asked whether its faults hit.

    Examples:

      llama-orch chaos replay out/history.jsonl

      llama-orch chaos replay out/history.jsonl --shrink short.jsonl
    """
    from chaos.judge import RULES

    console = Console(stderr=as_json, highlight=False, soft_wrap=True)
    try:
        records = record.read(file)
    except record.UnreadableError as error:
        raise typer.BadParameter(str(error)) from None
    try:
        verdict = judge(records)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise typer.BadParameter(f"{file}: not a history: {error!r}") from None
    if shrunk is not None and verdict.findings:
        first = verdict.findings[0]
        rule = next(rule for rule in RULES if rule.__name__ == first.rule)
        short = shrink(records, first, rule)
        record.write(shrunk, short)
        console.print(f"{len(records)} records, of which {len(short)} show {first.rule}: {shrunk}")
    told = [{"rule": f.rule, "subject": f.subject, "req": f.violation.req} for f in verdict.findings]
    report = {"outcome": verdict.outcome, "doubts": list(verdict.doubts), "findings": told}
    _finish(console, verdict, report, as_json=as_json)


@app.command("list")
def show() -> None:
    """Name all faults and workloads.

    Example:

      llama-orch chaos list
    """
    console = Console(highlight=False, soft_wrap=True)
    console.print("faults")
    for kind in FAULTS.values():
        console.print(f"  {kind.name:18} {escape(kind.about)}")
    console.print("workloads")
    for workload in WORKLOADS.values():
        console.print(f"  {workload.name:18} {escape(workload.about)}")


def _finish(console: Console, verdict: Verdict, report: dict[str, Any], *, as_json: bool) -> None:
    for finding in verdict.findings[:SHOWN_MAX]:
        console.print(f"[bold red]{finding.rule}[/] on {escape(finding.subject)}")
        console.print(escape("\n".join(f"  {line}" for line in str(finding.violation).splitlines())))
    if len(verdict.findings) > SHOWN_MAX:
        console.print(f"and {len(verdict.findings) - SHOWN_MAX} more findings")
    left = report.get("left_behind", [])
    for one in left:
        console.print(f"[bold red]left behind[/], and ended: {one['pid']} {escape(one['command'])}")
    for doubt in verdict.doubts:
        console.print(f"[yellow]unknown[/]: {escape(doubt)}")
    if "folder" in report:
        folder = report["folder"]
        console.print(f"{report['tasks']} tasks, {report['accepted']} accepted; report: {folder}/report.html")
        if verdict.outcome != "pass" or left:
            console.print(f"repeat the run        {escape(report['repeat'])}")
            console.print(f"judge its record      llama-orch chaos replay {folder}/history.jsonl")
    console.print(f"[{STYLES[verdict.outcome]}]{verdict.outcome}[/]")
    if as_json:
        typer.echo(json.dumps(report, indent=2, ensure_ascii=False))
    raise typer.Exit(EXIT_PASS if verdict.outcome == "pass" and not left else EXIT_FAIL)


def _chosen(known: Any, name: str, what: str) -> Any:
    if name not in known:
        raise typer.BadParameter(f"no {what} {name!r}; there are: {', '.join(known)}")
    return known[name]


def _kinds(names: Sequence[str]) -> tuple[Any, ...]:
    wanted = dict.fromkeys(name for name in names if name != "none")
    return tuple(_chosen(FAULTS, name, "fault") for name in wanted)


def _folder(out: Path | None) -> Path:
    if out is None:
        return Path(tempfile.mkdtemp(prefix="llama-orch-chaos-"))
    if out.exists() and any(out.iterdir()):
        raise typer.BadParameter(f"{out} is not empty: a run has a folder of its own")
    out.mkdir(parents=True, exist_ok=True)
    return out.absolute()


def _repeat(  # noqa: PLR0917 - the options, as they were given
    seed: int,
    faults: Sequence[str] | None,
    workload: str,
    duration: float,
    blows: int | None,
    engine: str | None,
    launch: str | None,
) -> str:
    """The command line of this run, with its seed."""
    named = {
        "--workload": workload,
        "--duration": f"{duration:g}",
        "--blows": str(blows) if blows else None,
        "--engine": engine,
        "--launch": launch,
    }
    parts = ["llama-orch", "chaos", "--seed", str(seed)]
    parts += [part for name in faults or () for part in ("--fault", name)]
    return shlex.join([*parts, *(part for name, value in named.items() if value for part in (name, value))])

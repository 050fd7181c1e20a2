"""The command line, `llama-orch`.

Exit codes: 0 pass, 1 fail, 2 wrong usage, 3 could not run.
"""

import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from harness.conform_cli import conform, coverage, explain, reports
from harness.haiku.cli import haiku
from harness.metrics_lint.cli import app as metrics
from harness.pact.cli import app as pact
from harness.saboteur.cli import prove

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
app.add_typer(metrics, name="metrics")
app.add_typer(pact, name="pact")

# Everything that follows belongs to the other program, its --help included.
PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


@app.callback()
def llama_orch() -> None:
    """Judge an OrchQueue server, or run the reference server.

    Exit codes: 0 pass, 1 fail, 2 wrong usage, 3 could not run.

    Examples:

      llama-orch conform

      llama-orch serve --port 8080

      llama-orch engines install llamacpp --with-model
    """


@app.command(context_settings=PASSED_ON)
def serve(context: typer.Context) -> None:
    """Run the reference server. More: llama-orch serve --help"""
    _become("reference_server", "serve", *context.args)


@app.command(context_settings=PASSED_ON)
def engines(context: typer.Context) -> None:
    """Install and list engines. More: llama-orch engines --help"""
    _become("reference_server", "engines", *context.args)


@app.command(context_settings=PASSED_ON)
def determinism(context: typer.Context) -> None:
    """Compare streams byte for byte across replicas. More: llama-orch determinism --help"""
    _become("determinism", *context.args)


@app.command(context_settings=PASSED_ON)
def models(context: typer.Context) -> None:
    """Fetch and list models. More: llama-orch models --help"""
    _become("reference_server", "models", *context.args)


@app.command(context_settings=PASSED_ON)
def doctor(context: typer.Context) -> None:
    """Show what this host has and lacks, with a remedy for each problem. More: llama-orch doctor --help"""
    _become("reference_server", "doctor", *context.args)


@app.command(context_settings=PASSED_ON)
def chaos(context: typer.Context) -> None:
    """Put a server under load and faults, and judge what it did. More: llama-orch chaos --help"""
    _become("chaos", *context.args)


@app.command(context_settings=PASSED_ON)
def task(context: typer.Context) -> None:
    """Submit a task, and show its place in the queue, its answer and its figures. More: llama-orch task --help"""
    _become("contracts.client", "task", *context.args)


@app.command(context_settings=PASSED_ON)
def artifacts(context: typer.Context) -> None:
    """Store and read artifacts. More: llama-orch artifacts --help"""
    _become("contracts.client", "artifacts", *context.args)


for verb in (conform, explain, coverage, reports, haiku, prove):
    app.command()(verb)


@app.command()
def trace(
    *,
    requirement: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Such as ORCH-3026, or a family such as OC-CORE.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For a machine.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write the matrix of all requirements to this file.")] = None,
) -> None:
    """Show one requirement's whole chain: its sentence, the contracts, checks and code that name it; or list them.

    Without an id, or with a family, one line for each requirement and the number of its checks.

    Exit codes: 0 shown, 1 the requirement, or a MUST of the list, has no check, 2 wrong usage or no such id.

    Examples:

      llama-orch trace ORCH-3026

      llama-orch trace OC-CTRL-2022 --json

      llama-orch trace OC-CORE

      llama-orch trace --html requirements.html
    """
    import json

    from harness import trace as chain
    from harness.report import matrix

    index = chain.load()
    if requirement is not None and html is not None:
        raise typer.BadParameter("give an ID, or --html FILE")
    if html is not None:
        html.write_text(matrix.page(index.values()), encoding="utf-8")
        typer.echo(f"wrote {html}")
        return
    entry = index.get(str(requirement))
    if entry is None and (listed := chain.family(index, requirement)):
        typer.echo(json.dumps(listed, ensure_ascii=False) if as_json else "\n".join(chain.table(listed)))
        raise typer.Exit(int(any(map(chain.lacks_a_check, listed))))
    if entry is None:
        raise typer.BadParameter(f"no specification states {requirement}; llama-orch trace lists all")
    typer.echo(json.dumps(entry, ensure_ascii=False) if as_json else "\n".join(chain.lines(entry)))
    raise typer.Exit(0 if entry["scenarios"] or entry["tests"] else 1)


@app.command()
def regen(
    *, check: Annotated[bool, typer.Option("--check", help="Only compare, and show the difference.")] = False
) -> None:
    """Write every file that is generated from the contracts, or with --check fail when one is stale.

    Wire types, the client, the configuration's schema, the requirement index, the README's map, the index of pacts. The
    generators are part of a checkout, not of an installed package. Exit codes: 0 pass, 1 stale, 3 no checkout.

    Examples:

      llama-orch regen

      llama-orch regen --check
    """
    import harness

    root = Path(harness.__file__).parent.parent
    if not (root / "tools" / "generated.py").is_file():
        typer.echo(
            f"llama-orch regen: {root} is no checkout; clone the repository, its tools/ make these files", err=True
        )
        raise typer.Exit(3)
    sys.stdout.flush()
    os.chdir(root)
    flags = ["--check"] if check else []
    os.execv(sys.executable, [sys.executable, "-m", "tools", "gen", *flags])  # noqa: S606 - no shell wanted


def _become(module: str, *arguments: str) -> NoReturn:
    """Go on as another program of ours: the harness imports neither the server nor the suites that build on it."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606 - no shell wanted


def main() -> None:
    """The console script."""
    app()

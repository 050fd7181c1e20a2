"""`llama-orch conform`, `explain`, `coverage` and `reports`: what a user asks of the checks.

Exit codes: 0 pass, 1 fail, 2 wrong usage, 3 could not run or could not judge.
"""

import json
from pathlib import Path
from typing import Annotated

import typer

Values = list[str] | None


def conform(
    *,
    url: Annotated[str | None, typer.Option(help="Judge the server at this address, not the reference server.")] = None,
    token_env: Annotated[str | None, typer.Option(help="The environment variable that holds its API token.")] = None,
    launch: Annotated[
        str | None,
        typer.Option(
            help="Start this server. {config} in it stands for a configuration file's path, {port} for a free port of "
            '127.0.0.1; without {port} it prints its address: {"event": "ready", "url": …}.'
        ),
    ] = None,
    engine_url: Annotated[
        str | None, typer.Option(help="The llama-server behind --url, to compare its own answers with.")
    ] = None,
    profile: Annotated[
        Values,
        typer.Option(help="core, data-plane, control-plane, catalog, observability, security or full; repeatable."),
    ] = None,
    req: Annotated[Values, typer.Option(help="Only what proves this requirement id; repeatable.")] = None,
    check: Annotated[Values, typer.Option(help="Only this check, or those that match a glob; repeatable.")] = None,
    tag: Annotated[Values, typer.Option(help="Only scenarios with this tag; repeatable.")] = None,
    keyword: Annotated[
        str | None, typer.Option("-k", help="Only scenarios whose name matches, as pytest's -k.")
    ] = None,
    disturb: Annotated[
        bool | None,
        typer.Option(
            "--disturb/--no-disturb",
            help="Run checks that fill slots or queues, or need the server for themselves. Default: not with --url.",
        ),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes at a time. Default: one a core; 1 with --url.")
    ] = None,
    gaps: Annotated[
        Path | None, typer.Option(help="Known gaps (YAML, check: reason): do not fail, until one closes.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would run.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the whole result to this file.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write a JUnit XML file.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write one self-contained HTML page.")] = None,
    badge: Annotated[Path | None, typer.Option(help="Write an SVG badge.")] = None,
    implementation: Annotated[
        str | None,
        typer.Option(help="For a report that is submitted: NAME,VERSION,CONTACT, written into the JSON."),
    ] = None,
) -> None:
    """Run the conformance checks against a server, over HTTP alone.

    Without options the reference server is started on its embedded engine and judged; with REQUIRE_REAL_LLAMA=1 in
    the environment, on the real llama-server. Exit codes: 0 pass, 1 fail, 2 wrong usage, 3 could not run or could not
    judge.

    Examples:

      llama-orch conform

      llama-orch conform --profile core --url https://llm.example --token-env MY_TOKEN

      llama-orch conform --req ORCH-3026 --json result.json --html result.html

      llama-orch conform --launch "my-server --config {config} --port {port}" --gaps gaps.yaml

      llama-orch conform --profile security --dry-run

      REQUIRE_REAL_LLAMA=1 llama-orch conform
    """
    from rich.console import Console

    from harness.conform import Selection, run
    from harness.registry.check import PROFILES
    from harness.report.badge import BadgeReport
    from harness.report.console import ConsoleReport, PlanReport
    from harness.report.gaps import GapsError, load
    from harness.report.json_file import JsonReport
    from harness.report.page import PageReport

    if url is not None and launch is not None:
        raise typer.BadParameter("give --url or --launch, not both")
    if url is None and (token_env is not None or engine_url is not None):
        raise typer.BadParameter("--token-env and --engine-url belong to --url")
    if wrong := [name for name in profile or () if name not in PROFILES]:
        raise typer.BadParameter(f"no such profile: {', '.join(wrong)}. There are {', '.join(PROFILES)}")
    try:
        known_gaps = load(gaps) if gaps is not None else {}
    except GapsError as error:
        raise typer.BadParameter(str(error)) from None
    named = {"--url": url, "--token-env": token_env, "--launch": launch, "--engine-url": engine_url}
    options = [part for name, value in named.items() if value is not None for part in (name, value)]
    selection = Selection(
        url=url,
        token_env=token_env,
        launch=launch,
        engine_url=engine_url,
        requirements=tuple(req or ()),
        profiles=tuple(profile or ()),
        checks=tuple(check or ()),
        tags=tuple(tag or ()),
        keyword=keyword,
        junit=junit,
        disturb=disturb,
        jobs=jobs,
        is_dry=dry_run,
    )
    if dry_run:
        raise typer.Exit(run(selection, [PlanReport(Console())]))
    who = _implementation(implementation)
    wanted = ((JsonReport, json_file), (PageReport, html), (BadgeReport, badge))
    files = [
        kind(path, options=options, gaps=known_gaps, implementation=who) for kind, path in wanted if path is not None
    ]
    console = ConsoleReport(Console(), options=options, gaps=known_gaps)
    raise typer.Exit(run(selection, [console, *files], gaps=known_gaps))


def explain(
    identifier: Annotated[str, typer.Argument(metavar="ID", help="A requirement, a check or an error code.")],
) -> None:
    """Say what a requirement demands and which checks look at it, or what a check does.

    Examples:

      llama-orch explain ORCH-3026

      llama-orch explain cancel/no-token-comes-after-the-cancel-was-answered

      llama-orch explain ADMISSION_REJECT
    """
    from harness.explain import explained

    text = explained(identifier)
    if text is None:
        raise typer.BadParameter(
            f"{identifier} is no requirement, check or error code; `llama-orch conform --dry-run` lists the checks"
        )
    typer.echo(text)


def coverage(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="What LLAMA_ORCH_EVIDENCE named.")],
    *,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write it to this file, too.")] = None,
    require: Annotated[Values, typer.Option(help="Fail unless this requirement is proved; repeatable.")] = None,
) -> None:
    """Say which requirements the evidence of finished runs has proved.

    A check that showed nothing counts as unknown. Exit codes: 0, 1 when a requirement has failed or a required one is
    not proved, 2 for wrong usage, 3 for a file that is no evidence.

    Examples:

      LLAMA_ORCH_EVIDENCE=run.jsonl make test && llama-orch coverage run.jsonl

      llama-orch coverage run.jsonl chaos.jsonl --require ORCH-3017 --json coverage.json
    """
    from harness import requirements
    from harness.registry import coverage as registry
    from harness.registry.evidence import MalformedEvidenceError, read

    try:
        lines = [line for file in files for line in read(file)]
    except (OSError, MalformedEvidenceError) as error:
        typer.echo(f"could not run: {error}", err=True)
        raise typer.Exit(3) from None
    if unknown := requirements.unknown(require or (), requirements.load()):
        raise typer.BadParameter(f"no specification states {', '.join(unknown)}")
    found = registry.coverage(lines, requirements.load())
    for row in found:
        typer.echo(f"{row.verdict or 'SILENT':15}{row.requirement:18}{', '.join(row.checks)}")
    proved = sum(row.is_proved for row in found)
    typer.echo(f"{proved} of {len(found)} requirements proved by {len({line.check for line in lines})} checks")
    if json_file is not None:
        rows = {row.requirement: {"verdict": row.verdict, "checks": dict(row.checks)} for row in found}
        json_file.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    failed = any(row.verdict is not None and row.verdict.is_failure for row in found)
    missing = [row.requirement for row in found if row.requirement in (require or ()) and not row.is_proved]
    raise typer.Exit(1 if failed or missing else 0)


def reports(folder: Annotated[Path, typer.Argument(help="Of submitted reports: NAME/VERSION/report.json.")]) -> None:
    """Hold reports that implementations have submitted to their schema and their layout.

    Exit codes: 0 all valid, 1 not, 2 wrong usage, 3 nothing there.

    Examples:

      llama-orch reports contracts/reports/submitted
    """
    from harness.report.submitted import problems, reports_in

    found = reports_in(folder)
    if not found:
        typer.echo(f"no report below {folder}: they lie in NAME/VERSION/report.json", err=True)
        raise typer.Exit(3)
    wrong = [problem for path in found for problem in problems(path, folder)]
    for problem in wrong:
        typer.echo(problem)
    typer.echo(f"{len(found)} reports, {len(wrong)} problems")
    raise typer.Exit(1 if wrong else 0)


def _implementation(text: str | None) -> dict[str, str]:
    if text is None:
        return {}
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 3 or not all(parts):
        raise typer.BadParameter("--implementation takes NAME,VERSION,CONTACT")
    return dict(zip(("name", "version", "contact"), parts, strict=True))

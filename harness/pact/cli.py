"""`llama-orch pact`."""

import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from harness.pact.pact_file import Interaction, PactFile
    from harness.pact.report import Report
    from harness.pact.run import Engine
    from harness.pact.verify import Verdict

EXIT_PASS, EXIT_FAIL, EXIT_COULD_NOT_RUN = 0, 1, 3

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.callback()
def pact() -> None:
    """Hold an engine against what the orchestrator relies on."""


@app.command()
def verify(
    engine: Annotated[Literal["llamacpp", "vllm", "tgi", "triton"], typer.Argument(help="Whose pact.")],
    *,
    url: Annotated[str, typer.Option(help="Where the engine runs: http://host:port.")],
    model: Annotated[str | None, typer.Option(help="The model's name; without it the engine is asked.")] = None,
    metrics_url: Annotated[
        str | None, typer.Option(help="Where its metrics are, if at another address: Triton's.")
    ] = None,
    api_key_env: Annotated[str | None, typer.Option(help="The environment variable that holds its API key.")] = None,
    state_url: Annotated[
        str | None, typer.Option(help='Takes POST {"state", "params", "action"} and brings a provider state about.')
    ] = None,
    holds: Annotated[
        list[str] | None, typer.Option(help="A provider state that holds already; may be repeated.")
    ] = None,
    only: Annotated[
        str | None, typer.Option(help="Only the interaction of this description, or those that have this text in it.")
    ] = None,
    limit_s: Annotated[float, typer.Option(min=1, max=3600, help="For each answer, a stream's end included.")] = 120,
    strict: Annotated[bool, typer.Option("--strict", help="Fail on NOT_TESTABLE too.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the whole result to this file.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write a JUnit XML file.")] = None,
) -> None:
    """Verify that a running engine answers as the orchestrator's adapter needs it.

    An interaction whose provider state cannot be brought about is NOT_TESTABLE: shown, never counted as passed, and no
    failure without --strict.

    Exit codes: 0 pass, 1 fail, 2 wrong usage, 3 could not run, or nothing could be tested.

    Examples:

      llama-orch pact verify llamacpp --url http://127.0.0.1:8080

      llama-orch pact verify vllm --url http://gpu:8000 --model my-model --api-key-env VLLM_KEY --junit pact.xml

      llama-orch pact verify triton --url http://gpu:8000 --metrics-url http://gpu:8002

      llama-orch pact verify tgi --url http://127.0.0.1:3000 --state-url http://127.0.0.1:9000/state --json pact.json
    """
    from rich.console import Console

    from harness.pact import pact_file
    from harness.pact.report import Report
    from harness.pact.run import Engine, UnreachableError, reach
    from harness.pact.states import EngineStates
    from harness.registry import evidence

    file, url = pact_file.load(engine), url.rstrip("/")
    selected = file.selected(only)
    if not selected:
        raise typer.BadParameter(f"no interaction of {file.name} has {only!r} in its description", param_hint="--only")
    if api_key_env is not None and api_key_env not in os.environ:
        _could_not_run(f"--api-key-env names {api_key_env}, which is not set")
    key = os.environ[api_key_env] if api_key_env else None
    try:
        reach(url)
    except UnreachableError as error:
        _could_not_run(str(error))
    states = EngineStates(engine, url, model=model, state_url=state_url, holds=frozenset(holds or ()), api_key=key)
    own = None if engine == "triton" else url  # Triton's metrics are another service
    subject = Engine(url, states, metrics_url=metrics_url or own, api_key=key, limit_s=limit_s)
    named = {"--model": model, "--metrics-url": metrics_url, "--api-key-env": api_key_env, "--state-url": state_url}
    options = [part for name, value in named.items() if value is not None for part in (name, value)]
    report = Report(file, url, [*options, *(part for state in holds or () for part in ("--holds", state))])
    console = Console()
    console.print(f"{len(selected)} interactions of {file.name} with {url}", highlight=False, soft_wrap=True)
    verdicts = _verified(file, selected, subject, report=report, console=console)
    code = _exit_code(verdicts, is_strict=strict)
    _sum_up(console, verdicts)
    evidence.report(report.evidence(verdicts))
    if json_file is not None:
        json_file.write_text(report.json(verdicts, code), encoding="utf-8")
    if junit is not None:
        junit.write_text(report.junit(verdicts), encoding="utf-8")
    raise typer.Exit(code)


def _verified(
    file: "PactFile", selected: "Sequence[Interaction]", subject: "Engine", *, report: "Report", console: "Console"
) -> "list[Verdict]":
    """In a thread: the verifier does not listen to Ctrl-C, and we do."""
    from harness.pact.run import run
    from harness.pact.verify import VerifierError

    verdicts: list[Verdict] = []
    failed: list[BaseException] = []

    def say(verdict: "Verdict") -> None:
        verdicts.append(verdict)
        report.say(console, verdict)

    def work() -> None:
        try:
            run(file, selected, subject, say=say)
        except VerifierError as error:
            failed.append(error)

    worker = threading.Thread(target=work, name="pact-verifier", daemon=True)
    worker.start()
    try:
        worker.join()
    except KeyboardInterrupt:
        _could_not_run(f"interrupted after {len(verdicts)} of {len(selected)} interactions")
    if failed:
        _could_not_run(str(failed[0]))
    if len(verdicts) != len(selected):
        _could_not_run(f"{len(verdicts)} of {len(selected)} interactions have a verdict")
    return verdicts


def _exit_code(verdicts: "Sequence[Verdict]", *, is_strict: bool) -> int:
    from harness.outcome import Outcome
    from harness.pact.report import counted

    counts = counted(verdicts)
    if counts[Outcome.FAIL] or counts[Outcome.HANG] or (is_strict and counts[Outcome.NOT_TESTABLE]):
        return EXIT_FAIL
    return EXIT_PASS if counts[Outcome.PASS] else EXIT_COULD_NOT_RUN


def _sum_up(console: "Console", verdicts: "Sequence[Verdict]") -> None:
    from harness.outcome import Outcome
    from harness.pact.report import counted

    counts = counted(verdicts)
    told = ", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome if counts[outcome])
    console.print(f"{len(verdicts)} interactions: {told}", highlight=False)


def _could_not_run(why: str) -> NoReturn:
    sys.stderr.write(f"could not run: {why}\n")
    raise typer.Exit(EXIT_COULD_NOT_RUN)

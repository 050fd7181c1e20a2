"""`llama-orch determinism`.

Exit codes: 0 pass, 1 fail, 2 wrong usage, 3 could not run.
"""

import os
import shlex
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from determinism.evidence import report_evidence
from determinism.gpus import gpu_indices
from determinism.lab import Bench
from determinism.report import html_page, json_file
from determinism.report.console import ConsoleReport
from determinism.run import Run
from determinism.seeds import COUNT, Case, case_of, cases
from determinism.settings import ENGINES, STARTED_HERE, Setup
from determinism.verdict import CHECKS
from harness import leftovers
from harness.conform import EXIT_COULD_NOT_RUN, interrupted_by_sigterm
from harness.outcome import NotApplicableError
from harness.stand_in import REQUIRE_ENV, is_real_required, why_stand_in
from harness.target import CannotRunError, Target

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was asked for, checked."""

    engine: str | None
    cases: tuple[Case, ...]
    tokens: int
    replicas: int
    slots: int
    checks: tuple[str, ...]
    url: str | None
    token: str | None
    engine_url: str | None


@app.command()
def determinism(
    *,
    engine: Annotated[str | None, typer.Option(help=f"One of {', '.join(ENGINES)}; llamacpp without --url.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="How many of the suite's seeds.")] = COUNT,
    seed: Annotated[list[int] | None, typer.Option(help="Only this seed; may be repeated.")] = None,
    tokens: Annotated[int, typer.Option(min=1, max=512, help="Tokens of each answer.")] = 32,
    replicas: Annotated[int, typer.Option(min=2, max=8, help="Replicas of the server that is started.")] = 2,
    slots: Annotated[int, typer.Option(min=1, max=128, help="Slots of each; above 1 the engine batches.")] = 1,
    gpu: Annotated[
        list[str] | None, typer.Option(help="A GPU's index, or `all`: the suite runs on each one by itself.")
    ] = None,
    check: Annotated[list[str] | None, typer.Option(help=f"Only this check: {', '.join(CHECKS)}.")] = None,
    url: Annotated[str | None, typer.Option(help="The server at this address, not one that is started.")] = None,
    token_env: Annotated[str | None, typer.Option(help="The environment variable that holds its API token.")] = None,
    engine_url: Annotated[str | None, typer.Option(help="An engine behind --url, to ask directly.")] = None,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the whole result to this file.")] = None,
    html_path: Annotated[Path | None, typer.Option("--html", help="Write one self-contained page.")] = None,
) -> None:
    """Compare streams byte for byte: replicas, restarts, warm caches, neighbours, and the engine asked directly.

    Without --url the reference server is started with two replicas of the engine, in its deterministic settings. A
    stream that differs is explained: where, how near a tie, and the smallest factor that is enough to get it.
    Exit codes: 0 pass, 1 fail, 2 wrong usage, 3 could not run.

    Examples:

      llama-orch determinism

      llama-orch determinism --engine vllm --json result.json --html result.html

      llama-orch determinism --seed 1380893431 --check replicas

      llama-orch determinism --gpu all

      llama-orch determinism --url http://127.0.0.1:8080 --token-env MY_TOKEN --engine-url http://127.0.0.1:8081
    """
    if unknown := set(check or ()) - CHECKS.keys():
        raise typer.BadParameter(f"no such check: {', '.join(sorted(unknown))}; there are {', '.join(CHECKS)}")
    if url is None and (token_env is not None or engine_url is not None):
        raise typer.BadParameter("--token-env and --engine-url belong to --url")
    if url is not None and gpu:
        raise typer.BadParameter("--gpu is for a server that is started, and --url is not")
    if url is None and engine not in {None, *ENGINES}:
        raise typer.BadParameter(f"no engine {engine}; there are {', '.join(ENGINES)}")
    if engine in STARTED_HERE and url is None and (slots > 1 or gpu):
        raise typer.BadParameter(f"{engine} is started with one slot, on the CPU: no --slots and no --gpu")
    if token_env is not None and token_env not in os.environ:
        raise typer.BadParameter(f"--token-env names {token_env}, which is not set")
    options = Options(
        engine=engine,
        cases=tuple(map(case_of, seed)) if seed else cases(seeds),
        tokens=tokens,
        replicas=replicas,
        slots=slots,
        checks=tuple(check or CHECKS),
        url=url,
        token=os.environ[token_env] if token_env else None,
        engine_url=engine_url,
    )
    found = devices(gpu or [])
    files = {"--json": json_path, "--html": html_path}
    with interrupted_by_sigterm():
        codes = [_run(options, device, files, is_one_of_many=len(found) > 1) for device in found]
    raise typer.Exit(max(codes))


def _run(options: Options, gpu: int | None, files: dict[str, Path | None], *, is_one_of_many: bool) -> int:
    """One run, on one GPU or on the CPU."""
    command = _repeat_command(options, gpu)
    console = Console()
    if gpu is not None:
        console.print(f"GPU {gpu}, by itself")
    with tempfile.TemporaryDirectory(prefix="llama-orch-") as folder:
        bench = _bench(options, gpu, Path(folder))
        shown = ConsoleReport(console, command=command)
        run = Run(
            bench,
            options.cases,
            checks=options.checks,
            wanted=options.replicas if options.url is None else None,
            progress=shown.progress,
        )
        try:
            with leftovers.watched() as run.left_behind, ExitStack() as stack:
                stack.callback(bench.stop)
                stack.callback(shown.close)
                run.engines = _required_real(bench.start().target)
                for verdict in run:
                    shown.show(verdict)
            for one in run.left_behind:
                console.print(f"left behind, and ended: {one}", style="bold red", markup=False, soft_wrap=True)
            code = run.exit_code
        except (CannotRunError, NotApplicableError) as error:
            console.print(f"could not run: {error}", markup=False, soft_wrap=True)
            code = EXIT_COULD_NOT_RUN
        except KeyboardInterrupt:
            console.print("interrupted; server and engines are stopped")
            code = EXIT_COULD_NOT_RUN
    if run.verdicts:
        report_evidence(run, command=command)
        _write(run, files, command=command, suffix=f"-gpu{gpu}" if is_one_of_many else "")
    return code


def _write(run: Run, files: dict[str, Path | None], *, command: str, suffix: str) -> None:
    for option, write in (("--json", json_file.write), ("--html", html_page.write)):
        if (path := files[option]) is not None:
            write(run, path.with_stem(path.stem + suffix), command=command)


def _bench(options: Options, gpu: int | None, folder: Path) -> Bench:
    if options.url is not None:
        return Bench(
            setup=None,
            tokens=options.tokens,
            folder=folder,
            target=Target(options.url.rstrip("/"), options.token),
            engine=options.engine,
            engine_url=options.engine_url,
        )
    setup = Setup(engine=options.engine or "llamacpp", replicas=options.replicas, slots=options.slots, gpu=gpu)
    return Bench(setup=setup, tokens=options.tokens, folder=folder)


def _required_real(target: Target) -> list[dict[str, Any]]:
    """The server's engines; a stand-in is refused where a real one is required, by what it says (OC-TEST-7007)."""
    capabilities = target.capabilities()
    why = why_stand_in(capabilities)
    if is_real_required() and why is not None:
        raise CannotRunError(f"{REQUIRE_ENV} forbids stand-ins, and {target.url} is one: {why}")
    return list(capabilities.get("engines", []))


def devices(wanted: Sequence[str]) -> list[int | None]:
    """The GPUs to run on, one after the other; `[None]` is the CPU."""
    if not wanted:
        return [None]
    present = gpu_indices()
    named = present if "all" in wanted else tuple(int(text) for text in wanted if text.isdecimal())
    if not named or set(named) - set(present) or not all(text == "all" or text.isdecimal() for text in wanted):
        _could_not_run(f"--gpu {' '.join(wanted)}: this machine has {list(present) or 'no GPU that its driver shows'}")
    return list(named)


def _repeat_command(options: Options, gpu: int | None) -> str:
    named = {
        "--engine": options.engine,
        "--url": options.url,
        "--engine-url": options.engine_url,
        "--tokens": options.tokens,
        "--slots": options.slots if options.slots > 1 else None,
        "--replicas": options.replicas if options.replicas != 2 else None,
        "--gpu": gpu,
    }
    parts = [part for name, value in named.items() if value is not None for part in (name, str(value))]
    return shlex.join(["llama-orch", "determinism", *parts])


def _could_not_run(why: str) -> NoReturn:
    Console(stderr=True).print(f"could not run: {why}", markup=False, soft_wrap=True)
    raise typer.Exit(EXIT_COULD_NOT_RUN)


def main() -> None:
    """`python -m determinism`, which `llama-orch determinism` becomes."""
    app(prog_name="llama-orch determinism", args=sys.argv[1:])

"""`llama-orch metrics`."""

import os
import shlex
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.metrics_lint.lint import Result
    from harness.metrics_lint.source import Text

EXIT_FAIL, EXIT_COULD_NOT_RUN = 1, 3
STDOUT = Path("-")

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.callback()
def metrics() -> None:
    """Hold the metrics of a server against the metrics contract."""


@app.command()
def lint(
    source: Annotated[str, typer.Argument(help="A URL (without a path: /metrics), a file, or - for standard input.")],
    *,
    token_env: Annotated[str | None, typer.Option(help="The environment variable that holds the API token.")] = None,
    format_: Annotated[
        Literal["auto", "prometheus", "openmetrics"], typer.Option("--format", help="What to ask for and to read.")
    ] = "auto",
    watch: Annotated[
        float | None, typer.Option(min=0, max=3600, help="Scrape again after so many seconds: counters never fall.")
    ] = None,
    allow: Annotated[
        list[str] | None, typer.Option(help="A prefix of series of your own beside the contract's; may be repeated.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail on warnings too.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write JSON to this file; - for the output.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML to this file; - for the output.")] = None,
    sarif: Annotated[Path | None, typer.Option(help="Write SARIF to this file; - for the output.")] = None,
    github: Annotated[bool, typer.Option("--github", help="Print GitHub annotations.")] = False,
) -> None:
    """Lint one scrape, or two with --watch: names, types, units, labels, values, budgets, help texts, conventions.

    Exit codes: 0 pass, 1 a MUST does not hold, 2 wrong usage, 3 could not run.

    Examples:

      llama-orch metrics lint http://127.0.0.1:8080 --token-env MY_TOKEN --watch 15

      llama-orch metrics lint scrape.txt --strict --allow acme_

      curl -s http://127.0.0.1:8080/metrics | llama-orch metrics lint - --sarif metrics.sarif
    """
    from harness.metrics_lint import formats
    from harness.metrics_lint.lint import evidence
    from harness.metrics_lint.lint import lint as judge
    from harness.metrics_lint.source import SourceError, is_url, shown
    from harness.registry.evidence import report as emit

    if watch is not None and not is_url(source):
        raise typer.BadParameter("only a URL can be scraped twice", param_hint="--watch")
    if token_env is not None and token_env not in os.environ:
        _could_not_run(f"--token-env names {token_env}, which is not set")
    token = os.environ[token_env] if token_env else None
    try:
        texts = list(_texts(source, format_=format_, token=token, watch=watch))
    except SourceError as error:
        _could_not_run(str(error))
    named = {"--token-env": token_env, "--format": format_, "--watch": watch}
    options = [part for option, value in named.items() if value not in (None, "auto") for part in (option, str(value))]
    options += [part for prefix in allow or () for part in ("--allow", prefix)] + ["--strict"] * strict
    name, repeat = texts[-1].name, shlex.join(["llama-orch", "metrics", "lint", shown(source), *options])
    results = judge(texts, allow=allow or ())
    is_passed = not any(result.is_error or strict for result in results)
    emit(evidence(texts, results, repeat=repeat))
    _write(json_file, formats.as_json(results, name, repeat))
    _write(junit, formats.as_junit(results, name, strict=strict))
    _write(sarif, formats.as_sarif(results, version("llama-orch")))
    if github:
        sys.stdout.write(formats.as_annotations(results))
    if STDOUT not in (json_file, junit, sarif) and not github:
        _tell(results, name, repeat, is_passed=is_passed)
    raise typer.Exit(0 if is_passed else EXIT_FAIL)


def _texts(
    source: str, *, format_: 'Literal["auto", "prometheus", "openmetrics"]', token: str | None, watch: float | None
) -> "Iterator[Text]":
    from harness.metrics_lint.source import read, shown

    yield read(source, format_=format_, token=token)
    if watch is not None:
        sys.stderr.write(f"scraping {shown(source)} again in {watch:g} s\n")
        time.sleep(watch)
        yield read(source, format_=format_, token=token)


def _tell(results: "Sequence[Result]", name: str, repeat: str, *, is_passed: bool) -> None:
    for result in results:
        finding = result.finding
        place = f"{name}:{finding.line}" if finding.line else name
        said = [f"{place}: {'error' if result.is_error else 'warning'} {result.rule} {finding.series}".rstrip()]
        said += [f"  {finding.req}: expected {finding.expected}", f"  actual: {finding.actual}"]
        sys.stdout.write("".join(f"{_printable(line)}\n" for line in said))
    errors = sum(result.is_error for result in results)
    sys.stdout.write(f"{'PASS' if is_passed else 'FAIL'} {name}: {errors} errors, {len(results) - errors} warnings\n")
    if not is_passed:
        sys.stdout.write(f"repeat    {repeat}\n")


def _printable(text: str) -> str:
    """A label's value must not steer the terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _write(path: Path | None, text: str) -> None:
    if path == STDOUT:
        sys.stdout.write(text)
    elif path is not None:
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            _could_not_run(f"{path} cannot be written: {error}")


def _could_not_run(why: str) -> NoReturn:
    sys.stderr.write(f"could not run: {why}\n")
    raise typer.Exit(EXIT_COULD_NOT_RUN)

"""`llama-orch haiku`: starts what is needed, observes, judges, and shows."""

import json
import shlex
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from harness import leftovers
from harness.conform import EXIT_COULD_NOT_RUN, EXIT_FAIL, EXIT_PASS, interrupted_by_sigterm
from harness.engines.direct import DirectEngine, EngineDoesNotTellError, direct
from harness.engines.real_llamacpp import RealLlama, installed
from harness.haiku.facts import Facts
from harness.haiku.observe import observe
from harness.haiku.proof import CHECKS, Verdict, prove
from harness.outcome import NotApplicableError
from harness.registry.evidence import Evidence, report
from harness.report.console import STYLES
from harness.stand_in import REQUIRE_ENV, is_real_required, why_stand_in
from harness.target import REFERENCE_SERVER, CannotRunError, Servers, Target, pool_settings

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What to judge.

    Attributes:
        url: None = the reference server is started on the installed llama-server.
        engine: the name that tasks ask for.
        engine_urls: every engine behind `url`; the first is asked for its own answers.
        json_file: where the whole result goes.
    """

    url: str | None = None
    token: str | None = None
    engine: str = "llamacpp"
    engine_urls: tuple[str, ...] = ()
    json_file: Path | None = None
    repeat: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """That repeats it."""
        return shlex.join(["llama-orch", "haiku", *self.repeat])


def run(options: Options) -> int:
    """Run it and print the verdicts.

    Returns:
        The exit code.
    """
    console = Console()
    try:
        with ExitStack() as stack, console.status("starting") as status:
            stack.enter_context(interrupted_by_sigterm())
            left = stack.enter_context(leftovers.watched())
            target, engines = _started(options, stack)
            require_real(target, engines)
            facts = observe(target, engines, name=options.engine, tell=status.update)
    except (CannotRunError, NotApplicableError, EngineDoesNotTellError) as error:
        console.print(f"could not run: {error}", markup=False, soft_wrap=True)
        return EXIT_COULD_NOT_RUN
    except KeyboardInterrupt:
        console.print("interrupted; server and engine are stopped")
        return EXIT_COULD_NOT_RUN
    verdicts = list(prove(facts))
    code = EXIT_FAIL if left or any(verdict.outcome.is_failure for verdict in verdicts) else EXIT_PASS
    _show(console, facts, verdicts, options, code)
    for one in left:
        console.print(f"left behind, and ended: {one}", style="bold red", highlight=False, markup=False, soft_wrap=True)
    _report(verdicts, options)
    if options.json_file is not None:
        told = as_json(facts, verdicts, left, code=code, command=options.command)
        options.json_file.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return code


def require_real(target: Target, engines: Sequence[DirectEngine]) -> None:
    """Refuse stand-ins where a real engine is required, by what server and engines say of themselves.

    Raises:
        CannotRunError: one is a stand-in.
    """
    if not is_real_required():
        return
    if (why := why_stand_in(target.capabilities())) is not None:
        raise CannotRunError(f"{REQUIRE_ENV} forbids stand-ins, and {target.url} is one: {why}")
    for engine in engines:
        if (version := engine.version()).startswith("mock-"):
            raise CannotRunError(f"{REQUIRE_ENV} forbids stand-ins, and {engine.url} is one: it calls itself {version}")


def as_json(
    facts: Facts, verdicts: Sequence[Verdict], left: Sequence[leftovers.LeftBehind], *, code: int, command: str
) -> dict[str, Any]:
    """Verdicts, and what they were come to from."""
    return {
        "schema_version": SCHEMA_VERSION,
        "suite": "haiku",
        "command": command,
        "exit_code": code,
        "left_behind": [one.row for one in left],
        "checks": [
            {
                "id": f"haiku/{v.check}",
                "requirements": list(CHECKS[v.check][1]),
                "outcome": str(v.outcome),
                "text": v.text,
            }
            for v in verdicts
        ],
        "facts": asdict(facts),
    }


def _started(options: Options, stack: ExitStack) -> tuple[Target, list[DirectEngine]]:
    if options.url is not None:
        return Target(options.url.rstrip("/"), options.token), [direct(options.engine, u) for u in options.engine_urls]
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="llama-orch-")))
    engine = RealLlama(installed(), folder=folder / "engine")
    stack.callback(engine.stop)
    servers = Servers(REFERENCE_SERVER, folder=folder, replica=engine.replica)
    stack.callback(servers.stop)
    return servers.start(pool_settings({}, engine.replica)), [direct("llamacpp", engine.url)]


def _show(console: Console, facts: Facts, verdicts: Sequence[Verdict], options: Options, code: int) -> None:
    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True, markup=False)

    say(f"{facts.asked[0].prompt.strip()}\n{facts.answers[0].text.strip()}\n")
    for verdict in verdicts:
        console.print(f"{verdict.outcome:<13}", style=STYLES[verdict.outcome], end=" ")
        say(f"{verdict.check:<21} {verdict.text}")
    if code:
        say(f"repeat: {options.command}")


def _report(verdicts: Sequence[Verdict], options: Options) -> None:
    report(
        Evidence(
            f"haiku/{verdict.check}",
            requirement,
            verdict.outcome,
            f"{verdict.text}; repeat: {options.command}" if verdict.outcome.is_failure else verdict.text,
        )
        for verdict in verdicts
        for requirement in CHECKS[verdict.check][1]
    )

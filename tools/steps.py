"""The steps of `check` and `lint`: each runs to its end, says how it went and how long it took."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from harness.requirements import load
from tools import actions, generated, links, queries, references, spec_lint
from tools.index import entries

SCRIPTS = Path(sys.executable).parent
LOUD = frozenset({"tests"})  # they show their own progress
TESTS = ("-p", "tools.loop", "-n", "auto", "-q", "--durations", "5", "--durations-min", "1")


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a step went.

    Attributes:
        output: what the step has to say; shown when it failed.
    """

    passed: bool
    output: str = ""


Step = Callable[[Path], Verdict]


def command(*arguments: str) -> Step:
    """A step that is another program, started in the root; it passes when that exits with 0."""

    def step(root: Path) -> Verdict:
        try:
            done = subprocess.run(
                arguments, cwd=root, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
        except OSError as error:
            return Verdict(passed=False, output=f"{arguments[0]} cannot be started: {error}")
        return Verdict(passed=done.returncode == 0, output=done.stdout)

    return step


def module(name: str, *arguments: str) -> Step:
    """A step that is a module of this environment."""
    return command(sys.executable, "-m", name, *arguments)


def each(*steps: Step) -> Step:
    """A step that passes when all of these do."""

    def step(root: Path) -> Verdict:
        verdicts = [one(root) for one in steps]
        return Verdict(all(v.passed for v in verdicts), "\n".join(v.output for v in verdicts if not v.passed))

    return step


def schema(name: str, pattern: str) -> Step:
    """A step that holds all files of a pattern against a schema that lies in the wheel of check-jsonschema."""

    def step(root: Path) -> Verdict:
        files = sorted(str(path.relative_to(root)) for path in root.glob(pattern))
        return command(str(SCRIPTS / "check-jsonschema"), "--builtin-schema", f"vendor.{name}", *files)(root)

    return step


def finding(find: Callable[[Path], Sequence[str]]) -> Step:
    """A step that passes when a function finds nothing."""

    def step(root: Path) -> Verdict:
        found = find(root)
        return Verdict(passed=not found, output="\n".join(found))

    return step


def loud(*arguments: str) -> Step:
    """A step whose program shows its own progress."""

    def step(root: Path) -> Verdict:
        return Verdict(passed=subprocess.run(arguments, cwd=root, check=False).returncode == 0)

    return step


def _stale(root: Path) -> list[str]:
    found = [f"{path} is stale:\n{difference}" for path, difference in generated.stale(root)]
    return [*found, "run: python -m tools gen"] if found else []


LINT: Mapping[str, Step] = {
    "format": module("ruff", "format", "--check", "."),
    "lint": module("ruff", "check", "."),
    "types": module("mypy"),
    "imports": command(str(SCRIPTS / "lint-imports")),
    "generated": finding(_stale),
    "specs": finding(spec_lint.lint),
    "ids": finding(lambda root: references.unknown(root, load())),
    "index": finding(entries.problems),
    "links": finding(links.broken),
    "queries": finding(queries.problems),
    "workflows": each(
        schema("github-workflows", ".github/workflows/*.yml"), schema("github-actions", ".github/actions/*/action.yml")
    ),
    "names": finding(actions.problems),
    "actions": command(str(SCRIPTS / "zizmor"), "--offline", "--strict-collection", "--pedantic", "--quiet", ".github"),
}
CHECK: Mapping[str, Step] = {
    **LINT,
    "tests": loud(sys.executable, "-m", "pytest", *TESTS, "-m", "not real_engine and not real_part and not slow"),
}


def run(steps: Mapping[str, Step], root: Path, *, say: Callable[[str], None]) -> list[str]:
    """Run all steps, whatever fails: as many at a time as there are processors, and those that show their own progress
    alone, after all others.

    Returns:
        The names of those that failed.
    """
    failed = []
    with ThreadPoolExecutor(max(2, os.cpu_count() or 2)) as pool:
        begun = {name: pool.submit(_timed, step, root) for name, step in steps.items() if name not in LOUD}
        for name, step in steps.items():
            verdict, seconds = begun[name].result() if name in begun else _timed(step, root)
            if not verdict.passed:
                failed.append(name)
                say(verdict.output.rstrip())
            say(f"{'pass' if verdict.passed else 'FAIL'}  {name:<10} {seconds:6.1f} s")
    return failed


def _timed(step: Step, root: Path) -> tuple[Verdict, float]:
    started_s = time.monotonic()
    return step(root), time.monotonic() - started_s

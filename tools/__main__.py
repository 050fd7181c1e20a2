"""`python -m tools check | lint | gen | lock`: what a developer runs before a push.

Examples:
    python -m tools check          everything; the last line says whether it is green
    python -m tools lint           all of it but the tests
    python -m tools gen            write the generated files
    python -m tools gen --check    fail when one is stale, and show the difference
"""

import argparse
import difflib
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tools import gen_models, links, spec_lint

ROOT = Path(__file__).resolve().parent.parent
LOCK = "tools/requirements/dev.txt"


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def gen(*, is_check: bool) -> int:
    """Write the generated files, or compare them."""
    stale = 0
    for path, text in gen_models.generate(ROOT).items():
        target = ROOT / path
        old = target.read_text(encoding="utf-8") if target.exists() else ""
        if old == text:
            continue
        stale += 1
        if is_check:
            diff = difflib.unified_diff(
                old.splitlines(), text.splitlines(), f"{path} (committed)", f"{path} (generated)", lineterm=""
            )
            _say("\n".join(diff))
        else:
            target.write_text(text, encoding="utf-8")
            _say(f"wrote {path}")
    if stale and is_check:
        _say(f"{stale} generated file(s) are stale; run: python -m tools gen")
    return 1 if stale and is_check else 0


def lock() -> int:
    """Pin all dependencies again, with hashes."""
    uv = shutil.which("uv")
    if uv is None:
        _say("uv was not found; install it (pip install uv) and run this again")
        return 3
    options = [
        "--quiet",
        "--generate-hashes",
        "--no-annotate",
        "--universal",
        "--python-version",
        "3.11",
        "--group",
        "dev",
    ]
    header = ["--custom-compile-command", "python -m tools lock"]
    return _call([uv, "pip", "compile", *options, *header, "--group", "dev", "pyproject.toml", "-o", LOCK])


def _call(command: list[str]) -> int:
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def _module(name: str, *arguments: str) -> Callable[[], int]:
    return lambda: _call([sys.executable, "-m", name, *arguments])


LINT: dict[str, Callable[[], int]] = {
    "format": _module("ruff", "format", "--check", "--quiet", "."),
    "lint": _module("ruff", "check", "--quiet", "."),
    "imports": lambda: _call([str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]),
    "types": _module("mypy"),
    "generated": lambda: gen(is_check=True),
    "specs": lambda: _report(spec_lint.lint(ROOT)),
    "links": lambda: _report(links.broken(ROOT)),
}
TESTS = _module("pytest", "-q", "-m", "not real_engine")


def _report(problems: list[str]) -> int:
    for problem in problems:
        _say(problem)
    return 1 if problems else 0


def run(steps: dict[str, Callable[[], int]]) -> int:
    """Run all steps, whatever fails, and say at the end what did."""
    failed = []
    for name, step in steps.items():
        started = time.monotonic()
        code = step()
        _say(f"{'ok  ' if code == 0 else 'FAIL'}  {name:<10} {time.monotonic() - started:6.1f} s")
        if code:
            failed.append(name)
    _say(f"failed: {', '.join(failed)}" if failed else "all green")
    return 1 if failed else 0


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tools", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs.add_parser("check", help="format, lint, imports, types, generated files, specs, links, tests")
    verbs.add_parser("lint", help="the same without the tests")
    verbs.add_parser("lock", help="pin the dependencies again, with hashes")
    verbs.add_parser("gen", help="write the generated files").add_argument(
        "--check", action="store_true", help="only compare"
    )
    asked = parser.parse_args()
    match asked.verb:
        case "check":
            return run({**LINT, "tests": TESTS})
        case "lint":
            return run(LINT)
        case "lock":
            return lock()
        case _:
            return gen(is_check=asked.check)


if __name__ == "__main__":
    sys.exit(main())

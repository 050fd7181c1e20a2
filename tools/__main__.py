"""`python -m tools check | lint | gen | coverage | …`: for a developer, before a push."""

import argparse
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools import generated, lock, steps
from tools.index import coverage

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = """examples:
  python -m tools check         format, lint, types, imports, generated files, specifications, ids, links, fast tests
  python -m tools lint          all of it but the tests
  python -m tools gen           write the generated files
  python -m tools gen --check   fail when one is stale, and show the difference
  python -m tools coverage      every MUST with the scenarios and tests that check it
  python -m tools coverage --family ORCH --family OC-CORE
  python -m tools coverage --evidence run.jsonl
                                which checks never ran: LLAMA_ORCH_EVIDENCE=run.jsonl python -m pytest writes the file
  python -m tools bench         what the hop costs, beside nginx and the Rust routers where they are installed
  python -m tools compat vllm   verify a real engine, and write contracts/compat/vllm.json
  python -m tools flakes --runs 20
                                the whole suite so often; names every test whose verdict was not always the same
  python -m tools flakes --runs 5 -- -n 2 -m scenario features
  python -m tools mutants       every change of the domain that its tests do not notice, held to tools/survivors.diff
  python -m tools mutants --module admission --module pool
  python -m tools slow          every test of `make test`, and which of them `check` leaves to it; on an idle machine
  python -m tools lock          pin the dependencies again, with hashes (needs uv)

exit codes: 0 pass, 1 fail, 2 wrong usage, 3 could not run
"""


def main(arguments: Sequence[str] | None = None) -> int:  # noqa: PLR0911 - one for each verb
    """Do what the command line says.

    Returns:
        The exit code.
    """
    asked = _parser().parse_args(arguments)
    match asked.verb:
        case "check":
            return _run(steps.CHECK)
        case "lint":
            return _run(steps.LINT)
        case "lock":
            return lock.lock(ROOT)
        case "coverage":
            return coverage.show(ROOT, asked, say=_say)
        case "compat":
            from tools import compat

            return compat.verify(ROOT, asked.engine, say=_say)
        case "flakes":
            from tools import flakes

            return flakes.soak(ROOT, runs=asked.runs, arguments=asked.pytest, json_file=asked.json, say=_say)
        case "mutants":
            from tools import mutants

            return mutants.check(ROOT, json_file=asked.json, modules=asked.module, say=_say)
        case "slow":
            from tools import loop

            return loop.measure(ROOT)
        case "bench":
            from tools.bench import run

            return run.run(asked.rounds)
        case _:
            return _run({"generated": steps.LINT["generated"]}) if asked.check else _write()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tools",
        description="The developer's loop.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs.add_parser("check", help="everything that needs no installed engine; runs on after a failure")
    verbs.add_parser("lint", help="the same without the tests")
    gen = verbs.add_parser("gen", help="write the generated files")
    gen.add_argument("--check", action="store_true", help="only compare, and show the difference")
    join = verbs.add_parser("coverage", help="every MUST with its executable checks, and which of them ran")
    join.add_argument("--family", action="append", default=[], metavar="NAME", help="only these, such as OC-CTRL")
    join.add_argument(
        "--evidence", action="append", default=[], type=Path, metavar="FILE", help="fail for a check that never ran"
    )
    join.add_argument("--json", action="store_true", help="for a machine")
    bench = verbs.add_parser("bench", help="what the hop costs; takes some minutes of an otherwise idle machine")
    bench.add_argument("--rounds", type=int, default=3, help="all figures so many times; 1 is a glance (default: 3)")
    verified = verbs.add_parser("compat", help="run tests and features on an installed engine, and write what passed")
    verified.add_argument("engine", choices=("llamacpp", "vllm", "triton"))
    soak = verbs.add_parser("flakes", help="the whole suite again and again; its verdicts compared")
    soak.add_argument("--runs", type=int, default=20, metavar="N", help="how often (20)")
    soak.add_argument("--json", type=Path, metavar="FILE", help="write what differed to this file, too")
    soak.add_argument("pytest", nargs="*", metavar="ARGUMENT", help="after --: for pytest, in place of the whole suite")
    mutated = verbs.add_parser("mutants", help="mutants of the domain, and whether its tests kill them")
    mutated.add_argument("--module", action="append", default=[], metavar="NAME", help="only these, such as core")
    mutated.add_argument(
        "--json", type=Path, metavar="FILE", help="write the score and the survivors to this file, too"
    )
    verbs.add_parser("slow", help="measure all tests, and write tools/slow.txt")
    verbs.add_parser("lock", help="pin the dependencies again, with hashes")
    return parser


def _run(wanted: Mapping[str, steps.Step]) -> int:
    failed = steps.run(wanted, ROOT, say=_say)
    _say(f"failed: {', '.join(failed)}" if failed else "all passed")
    return 1 if failed else 0


def _write() -> int:
    changed = generated.write(ROOT)
    _say("\n".join(f"wrote {path}" for path in changed) or "all generated files are current")
    return 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` ends it without a trace-back
    sys.exit(main())

"""Runs the whole suite again and again, and names every test whose verdict was not the same each time.

What failed each time is named, too: it is no flake, but a suite that fails shows nothing. A verdict is pass, fail or
skip, or a scenario's outcome. UNKNOWN is none: the harness was too late to come to one, which is told, and is no flake.

Source: OC-TEST-7012.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as ET

from harness.outcome import Outcome

SUITE = ("-m", "not real_engine and not real_part")
EXIT_PASS, EXIT_FAIL, EXIT_COULD_NOT_RUN = 0, 1, 3
JUDGED = frozenset({0, 1})  # pytest's own exit codes: all passed, some failed
FAILED = frozenset(outcome for outcome in Outcome if outcome.is_failure)
ABSENT = "ABSENT"
TOLD_LINES = 30  # of a run that came to grief
SHOWN = 4_000  # characters of the first and of the last part of a failure


@dataclass(frozen=True, slots=True)
class Seen:
    """What one run said of one test."""

    verdict: str
    message: str = ""


@dataclass(slots=True)
class Soak:
    """All runs so far.

    Attributes:
        runs: of each, what it said of each test.
    """

    runs: list[Mapping[str, Seen]] = field(default_factory=list)

    def differing(self) -> dict[str, list[Seen]]:
        """Tests that had more than one verdict, with what each run said."""
        return {name: rows for name, rows in self._rows() if len({s.verdict for s in rows} - {Outcome.UNKNOWN}) > 1}

    def failing(self) -> dict[str, list[Seen]]:
        """Tests that failed in every run that came to a verdict of them."""
        return {
            name: rows
            for name, rows in self._rows()
            if (verdicts := {s.verdict for s in rows} - {Outcome.UNKNOWN}) and verdicts <= FAILED
        }

    def unknown(self) -> dict[str, list[Seen]]:
        """Tests that a run has left unknown."""
        return {name: rows for name, rows in self._rows() if any(s.verdict == Outcome.UNKNOWN for s in rows)}

    def _rows(self) -> Iterator[tuple[str, list[Seen]]]:
        names = sorted({name for run in self.runs for name in run})
        return ((name, [run.get(name, Seen(ABSENT)) for run in self.runs]) for name in names)


def soak(root: Path, *, runs: int, arguments: Sequence[str], json_file: Path | None, say: Callable[[str], None]) -> int:
    """Run the suite so often.

    Args:
        arguments: for pytest, in place of the whole suite.

    Returns:
        The exit code: 1 when verdicts differed or a test failed each time, 3 when a run came to no verdicts at all.
    """
    command = [sys.executable, "-m", "pytest", "-q", *(arguments or SUITE)]
    found, told = Soak(), set[tuple[str, str]]()
    for number in range(1, runs + 1):
        began_s = time.monotonic()
        verdicts = one_run(command, root)
        if verdicts is None:
            say(f"run {number} of {runs} came to no verdicts: {' '.join(command)}")
            return EXIT_COULD_NOT_RUN
        found.runs.append(verdicts)
        failed = sum(seen.verdict in FAILED for seen in verdicts.values())
        say(f"run {number} of {runs}: {len(verdicts)} tests, {failed} failed, {time.monotonic() - began_s:.0f} s")
        _tell(found, told, say)
    _report(found, json_file, say)
    return EXIT_FAIL if found.differing() or found.failing() else EXIT_PASS


def _tell(found: Soak, told: set[tuple[str, str]], say: Callable[[str], None]) -> None:
    """Say what differs or fails, unless that was told after an earlier run."""
    for what, which in (("differs", found.differing()), ("fails", found.failing())):
        for name, rows in which.items():
            if (what, name) not in told:
                told.add((what, name))
                say(f"  {what}: {name}: {' '.join(seen.verdict for seen in rows)}")
                say("".join(f"    {_shown(seen.message)}\n" for seen in rows if seen.message).rstrip())


def one_run(command: Sequence[str], root: Path) -> Mapping[str, Seen] | None:
    """The verdicts of one run; None when pytest itself came to grief."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "junit.xml")
        told = Path(folder, "stdout")
        with told.open("wb") as out:
            done = subprocess.run([*command, f"--junit-xml={file}"], cwd=root, check=False, stdout=out)
        if done.returncode in JUDGED and file.exists():
            return read(file.read_text(encoding="utf-8"))
        sys.stderr.write("\n".join(told.read_text("utf-8", "replace").splitlines()[-TOLD_LINES:]) + "\n")
        return None


def read(text: str) -> Mapping[str, Seen]:
    """The verdicts of a JUnit file."""
    cases = ET.fromstring(text).iter("testcase")  # noqa: S314 - pytest has just written it
    return {f"{case.get('classname')}::{case.get('name')}": _seen(case) for case in cases}


def _seen(case: ET.Element) -> Seen:
    outcomes = [p.get("value") for p in case.iter("property") if p.get("name") == "outcome"]
    troubles = [child for child in case if child.tag in {"failure", "error", "skipped"}]
    message = "\n".join(f"{child.get('message') or ''}\n{child.text or ''}".strip() for child in troubles)
    kinds = {child.tag for child in troubles}
    plain = Outcome.FAIL if kinds & {"failure", "error"} else Outcome.NOT_APPLICABLE if kinds else Outcome.PASS
    return Seen(outcomes[-1] or str(plain) if outcomes else str(plain), message)


def _shown(message: str) -> str:
    """What it began with and how it ended: a long output says there why it is a failure."""
    return message if len(message) <= 2 * SHOWN else f"{message[:SHOWN]}\n…\n{message[-SHOWN:]}"


def _report(found: Soak, json_file: Path | None, say: Callable[[str], None]) -> None:
    kinds = {"differing": found.differing(), "failing": found.failing(), "unknown": found.unknown()}
    for name, rows in kinds["unknown"].items():
        count = sum(seen.verdict == Outcome.UNKNOWN for seen in rows)
        say(f"left unknown in {count} of {len(rows)} runs: {name}: {_why(rows)}")
    differing, failing = len(kinds["differing"]), len(kinds["failing"])
    say(f"{len(found.runs)} runs, {differing} tests with different verdicts, {failing} that failed each time")
    if json_file is not None:
        verdicts = {
            kind: {name: [seen.verdict for seen in rows] for name, rows in which.items()}
            for kind, which in kinds.items()
        }
        json_file.write_text(json.dumps({"runs": len(found.runs), **verdicts}, indent=2) + "\n", encoding="utf-8")


def _why(rows: Sequence[Seen]) -> str:
    return next((seen.message[:300] for seen in rows if seen.verdict == Outcome.UNKNOWN and seen.message), "")

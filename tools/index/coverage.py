"""Every MUST with its executable checks, and, joined with the evidence of a run, what of it has run.

Source: OC-TEST-7090, OC-TEST-7091.
"""

import argparse
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path

from harness.outcome import Outcome
from harness.registry.evidence import MalformedEvidenceError
from harness.registry.evidence import read as read_evidence
from tools.index.entries import EXCLUSIONS, Entry, Index, read

RAN = frozenset({Outcome.PASS, Outcome.FAIL, Outcome.WARN, Outcome.HANG})
"""What a check reports that has looked; UNKNOWN, NOT_APPLICABLE and NOT_TESTABLE say that it has not."""


EXIT_COULD_NOT_RUN = 3


def show(root: Path, asked: argparse.Namespace, *, say: Callable[[str], None]) -> int:
    """Print every MUST with its checks and, where evidence was given, the checks that never ran.

    Returns:
        The exit code: 1 for a MUST with neither check nor reason, and for a check that never ran.
    """
    index = read(root)
    try:
        ran = emitted(asked.evidence) if asked.evidence else None
    except (OSError, MalformedEvidenceError) as error:
        say(f"coverage: {error}; write it with LLAMA_ORCH_EVIDENCE=FILE python -m pytest")
        return EXIT_COULD_NOT_RUN
    wanted = rows(index, asked.family)
    if not wanted:
        say(f"coverage: no MUST of {', '.join(asked.family)}; families are ORCH, OC-CORE, OC-CTRL …")
        return 2
    silent = [] if ran is None else list(never_ran(wanted, ran, index.elsewhere))
    bare = [entry.requirement.id for entry in wanted if not (entry.checks or entry.excluded or entry.gap)]
    if asked.json:
        say(
            json.dumps(
                {**summary(wanted), "without_check": bare, "never_ran": silent, "requirements_of": as_json(wanted)}
            )
        )
    else:
        for line in table(wanted) if ran is None else silent:
            say(line)
        counts = ", ".join(f"{number} {name}" for name, number in summary(wanted).items())
        say(f"{counts}; {len(bare)} without a check or a reason; reasons are in {EXCLUSIONS}")
        if ran is not None:
            say(f"{len(silent)} checks never ran")
    return 1 if bare or silent else 0


def as_json(entries: Iterable[Entry]) -> list[dict[str, object]]:
    """The rows for a machine."""
    return [
        {
            "id": entry.requirement.id,
            "checks": [mention.place for mention in entry.checks],
            "excluded": entry.excluded,
            "gap": entry.gap,
        }
        for entry in entries
    ]


def emitted(files: Iterable[Path]) -> set[tuple[str, str]]:
    """Which checks have looked at which requirements, by the evidence of a run.

    Raises:
        MalformedEvidenceError: a line is none.
        OSError: a file cannot be read.
    """
    return {(line.check, line.requirement) for file in files for line in read_evidence(file) if line.verdict in RAN}


def rows(index: Index, families: Collection[str] = (), levels: Collection[str] = ("MUST",)) -> list[Entry]:
    """The requirements of these levels, of these families (`ORCH`, `OC-CORE` …; none = all)."""
    return [
        entry
        for identifier, entry in index.entries.items()
        if entry.requirement.level in levels and (not families or identifier.rpartition("-")[0] in families)
    ]


def table(entries: Iterable[Entry]) -> Iterator[str]:
    """A line for each requirement with its checks below it."""
    for entry in entries:
        state = f"{len(entry.checks)} checks" if entry.checks else "NO CHECK"
        state = "excluded" if entry.excluded else "gap" if entry.gap else state
        yield f"{entry.requirement.id}  {entry.requirement.level}  {state}"
        yield f"    {entry.requirement.sentence}"
        if reason := entry.excluded or entry.gap:
            yield f"    why: {reason}"
        yield from (f"    {mention.place}" for mention in entry.checks)


def never_ran(
    entries: Iterable[Entry], ran: Collection[tuple[str, str]], elsewhere: Iterable[str] = ()
) -> Iterator[str]:
    """A line for each check that names a requirement, and of which the run has not heard."""
    left_out = tuple(elsewhere)
    for entry in entries:
        for mention in entry.checks:
            if (mention.check, mention.id) not in ran and not mention.place.startswith(left_out):
                yield f"{mention.place}: {mention.check} never looked at {mention.id} in this run"


def summary(entries: Iterable[Entry]) -> Mapping[str, int]:
    """How many there are, and how many of them have checks, a reason, or neither."""
    found = list(entries)
    checked = sum(bool(entry.checks) for entry in found)
    excluded = sum(entry.excluded is not None for entry in found)
    gaps = sum(entry.gap is not None for entry in found)
    return {"requirements": len(found), "checked": checked, "excluded": excluded, "gaps": gaps}

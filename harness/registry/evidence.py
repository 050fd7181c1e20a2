"""What a suite reports: one line of evidence for each requirement that a check of it has looked at.

    {"check": "chaos/kill-9", "requirement": "ORCH-3017", "verdict": "PASS", "evidence": "12 kills, all slots back"}

1. A check has one stable id, `SUITE/NAME` (kebab-case, never a position), the same whether it passes or fails.
2. `evidence` says what was seen, in words; on a failure what was expected, what came, and the command that repeats it.
3. `verdict` is an `Outcome`: PASS, FAIL (a MUST), WARN (a SHOULD), UNKNOWN, NOT_APPLICABLE, NOT_TESTABLE or HANG.
4. Use `conclude` to come to one: it turns what sent nothing, asserted nothing or never fired its fault into UNKNOWN.
5. `report(conclude("chaos/kill-9", ["ORCH-3017"], violations, sent=40, asserted=12, fired=True, evidence="…"))`
6. `report` appends to the file that LLAMA_ORCH_EVIDENCE names, whole lines at a time, from any process; without the
   variable it does nothing. A pytest suite calls neither: the plugin reports every test with a `req` mark.
7. `llama-orch coverage FILE…` joins such files with the specifications: what a run emitted, and only that, is covered.

Source: OC-TEST-7020, OC-TEST-7022.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness import requirements
from harness.checks.violation import Violation
from harness.outcome import Outcome
from harness.registry.check import require_id

EVIDENCE_ENV = "LLAMA_ORCH_EVIDENCE"


class MalformedEvidenceError(ValueError):
    """A line that is no evidence; the text says where and why."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One line.

    Attributes:
        check: `SUITE/NAME`.
        requirement: an id that a specification states.
        evidence: what was seen, in words.
    """

    check: str
    requirement: str
    verdict: Outcome
    evidence: str

    def __post_init__(self) -> None:
        """Refuse ids that are none.

        Raises:
            ValueError: the id of the check has another form, or no specification states the requirement.
        """
        require_id(self.check)
        if self.requirement not in requirements.load():
            raise ValueError(f"{self.check}: no specification states {self.requirement!r}")


def conclude(
    check: str,
    proves: Iterable[str],
    violations: Iterable[Violation],
    *,
    sent: int,
    asserted: int,
    evidence: str,
    fired: bool | None = None,
) -> list[Evidence]:
    """The evidence of one check, a line for each requirement that it proves or has found broken.

    Args:
        proves: the requirements that hold when there is no violation.
        sent: requests that reached the server.
        asserted: comparisons that were made.
        fired: whether the fault that the check is about has happened; None = it is about none.
    """
    found = list(violations)
    known = requirements.load()
    lines = {}
    for violation in found:
        outcome = Outcome.FAIL if known[violation.req].level == "MUST" else Outcome.WARN
        lines[violation.req] = Evidence(check, violation.req, outcome, str(violation))
    missing = why_vacuous(sent=sent, asserted=asserted, fired=fired)
    for identifier in proves:
        outcome = Outcome.PASS if missing is None and not found else Outcome.UNKNOWN
        why = evidence if outcome is Outcome.PASS else missing or "another sentence failed in the same check"
        lines.setdefault(identifier, Evidence(check, identifier, outcome, why))
    return list(lines.values())


def why_vacuous(*, sent: int, asserted: int, fired: bool | None) -> str | None:
    """Why a check that has found nothing wrong has shown nothing; None when it has shown something."""
    if sent == 0:
        return "it sent nothing: it cannot have shown anything"
    if asserted == 0:
        return "it asserted nothing: it cannot have shown anything"
    if fired is False:
        return "its fault did not happen: what would have followed is not known"
    return None


def report(lines: Iterable[Evidence], *, environ: Mapping[str, str] = os.environ) -> None:
    """Append lines to the file of this run, where there is one."""
    if not (name := environ.get(EVIDENCE_ENV)):
        return
    text = "".join(json.dumps(asdict(line), ensure_ascii=False) + "\n" for line in lines)
    if not text:
        return
    descriptor = os.open(name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, text.encode())  # one write: lines of other processes do not come between
    finally:
        os.close(descriptor)


def read(path: Path) -> Iterator[Evidence]:
    """The lines of a file.

    Raises:
        MalformedEvidenceError: a line is none.
        OSError: the file cannot be read.
    """
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            yield _evidence(json.loads(line))
        except (ValueError, TypeError, RecursionError) as error:
            raise MalformedEvidenceError(f"{path}:{number}: {error}") from None


def _evidence(value: Any) -> Evidence:
    names = ("check", "requirement", "verdict", "evidence")
    if not isinstance(value, dict) or set(value) != set(names) or not all(isinstance(value[n], str) for n in names):
        raise ValueError(f"not an object of the four texts {', '.join(names)}")
    return Evidence(value["check"], value["requirement"], Outcome(value["verdict"]), value["evidence"])

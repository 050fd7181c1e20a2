"""A verification for people, as JSON and as JUnit XML.

{"pact", "url", "exit_code", "counts": {outcome: n}, "interactions": [{"description", "states", "requirements",
 "outcome", "reason", "differences": [{"where", "text"} …], "repeat"} …]}
"""

import json
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from xml.etree import ElementTree as ET

from rich.console import Console
from rich.markup import escape

from harness.outcome import Outcome
from harness.pact.pact_file import PactFile
from harness.pact.verify import Verdict
from harness.registry.check import slug
from harness.registry.evidence import Evidence
from harness.report.console import STYLES


@dataclass(frozen=True)
class Report:
    """What is told of a run.

    Attributes:
        options: those that the run was started with, for the commands that repeat an interaction.
    """

    pact: PactFile
    url: str
    options: Sequence[str]

    def repeat(self, verdict: Verdict) -> str:
        """The command line that verifies this interaction alone."""
        engine, only = self.pact.provider, verdict.interaction.description
        return shlex.join(["llama-orch", "pact", "verify", engine, "--url", self.url, *self.options, "--only", only])

    def say(self, console: Console, verdict: Verdict) -> None:
        """One interaction; one that passed in one line."""
        interaction = verdict.interaction
        states = escape(f" (given {', '.join(interaction.states)})")
        console.print(
            f"[{STYLES[verdict.outcome]}]{verdict.outcome}[/] {escape(interaction.description)}[dim]{states}[/]",
            highlight=False,
            soft_wrap=True,
        )
        lines = [verdict.reason] if verdict.reason else []
        lines += [f"{difference.where}: {difference.text}" for difference in verdict.differences]
        if verdict.outcome.is_failure and verdict.outcome is not Outcome.NOT_TESTABLE:
            lines += [f"stands for {' '.join(interaction.requirements)}", f"repeat: {self.repeat(verdict)}"]
        for line in lines:
            console.print(f"  {escape(line)}", highlight=False, soft_wrap=True)

    def evidence(self, verdicts: Sequence[Verdict]) -> Iterator[Evidence]:
        """A line for each interaction and each requirement that it stands for."""
        for verdict in verdicts:
            check = f"pact/{self.pact.provider}-{slug(verdict.interaction.description)}"
            differences = [f"{difference.where}: {difference.text}" for difference in verdict.differences]
            seen = "; ".join(filter(None, [verdict.reason, *differences])) or f"{self.url} answers as the pact says"
            if verdict.outcome is not Outcome.PASS:
                seen += f"; repeat: {self.repeat(verdict)}"
            yield from (Evidence(check, i, verdict.outcome, seen) for i in verdict.interaction.requirements)

    def json(self, verdicts: Sequence[Verdict], exit_code: int) -> str:
        """Everything."""
        rows = [
            {
                "description": verdict.interaction.description,
                "states": list(verdict.interaction.states),
                "requirements": list(verdict.interaction.requirements),
                "outcome": str(verdict.outcome),
                "reason": verdict.reason,
                "differences": [asdict(difference) for difference in verdict.differences],
                "repeat": self.repeat(verdict),
            }
            for verdict in verdicts
        ]
        counts = {str(outcome): count for outcome, count in sorted(counted(verdicts).items())}
        whole = {"pact": self.pact.name, "url": self.url, "exit_code": exit_code, "counts": counts}
        return json.dumps({**whole, "interactions": rows}, indent=2, ensure_ascii=False) + "\n"

    def junit(self, verdicts: Sequence[Verdict]) -> str:
        """A case for each interaction; what could not be tested is skipped, with its reason."""
        counts = counted(verdicts)
        skipped, failed = counts[Outcome.NOT_TESTABLE], counts[Outcome.FAIL] + counts[Outcome.HANG]
        totals = {"tests": str(len(verdicts)), "failures": str(failed), "skipped": str(skipped), "errors": "0"}
        suite = ET.Element("testsuite", {"name": self.pact.name, **totals})
        for verdict in verdicts:
            case = ET.SubElement(
                suite, "testcase", {"classname": f"pact.{self.pact.provider}", "name": verdict.interaction.description}
            )
            if verdict.outcome is Outcome.NOT_TESTABLE:
                ET.SubElement(case, "skipped", {"message": verdict.reason})
            elif verdict.outcome is not Outcome.PASS:
                text = "\n".join(f"{difference.where}: {difference.text}" for difference in verdict.differences)
                failure = ET.SubElement(case, "failure", {"message": verdict.reason or str(verdict.outcome)})
                failure.text = _printable(text)
        return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def counted(verdicts: Sequence[Verdict]) -> Counter[Outcome]:
    """How many interactions came to which outcome."""
    return Counter(verdict.outcome for verdict in verdicts)


def _printable(text: str) -> str:
    """XML has no place for control characters."""
    return "".join(char if char.isprintable() or char in "\n\t" else "\N{REPLACEMENT CHARACTER}" for char in text)

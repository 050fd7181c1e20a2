"""The verdicts of a run as the evidence that every suite reports (OC-TEST-7020)."""

from determinism.run import Run
from harness.registry.evidence import Evidence, report


def report_evidence(run: Run, *, command: str) -> None:
    """Append a line for each check and each sentence that it looked at, where the run has such a file."""
    report(
        Evidence(
            f"determinism/{verdict.check}",
            requirement,
            verdict.outcome,
            f"{verdict.text}; repeat: {command} --check {verdict.check}"
            if verdict.outcome.is_failure
            else verdict.text,
        )
        for verdict in run.verdicts
        for requirement in verdict.requirements
    )

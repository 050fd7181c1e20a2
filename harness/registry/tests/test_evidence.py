"""Evidence: how a check comes to its verdict, and what a file of it says."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.checks.violation import Violation
from harness.outcome import Outcome
from harness.registry.coverage import coverage
from harness.registry.evidence import EVIDENCE_ENV, Evidence, MalformedEvidenceError, conclude, read, report

MUST, SHOULD = "ORCH-3017", "ORCH-3006"


def verdicts(lines: list[Evidence]) -> dict[str, Outcome]:
    return {line.requirement: line.verdict for line in lines}


@pytest.mark.req("OC-TEST-7020")
@pytest.mark.parametrize(
    ("sent", "asserted", "fired", "expected"),
    [
        pytest.param(1, 1, None, Outcome.PASS, id="shown"),
        pytest.param(1, 1, True, Outcome.PASS, id="shown-under-its-fault"),
        pytest.param(0, 1, None, Outcome.UNKNOWN, id="sent-nothing"),
        pytest.param(1, 0, None, Outcome.UNKNOWN, id="asserted-nothing"),
        pytest.param(1, 1, False, Outcome.UNKNOWN, id="no-fault"),
    ],
)
def test_only_what_was_shown_passes(sent: int, asserted: int, fired: bool | None, expected: Outcome) -> None:
    lines = conclude("chaos/kill-9", [MUST], [], sent=sent, asserted=asserted, fired=fired, evidence="12 kills")

    assert {MUST: expected} == verdicts(lines)


def test_a_violation_fails_or_warns_by_the_verb_of_its_sentence_and_leaves_the_others_unknown() -> None:
    found = [Violation(SHOULD, "this", "that")]

    lines = conclude("a/b", [MUST, SHOULD], found, sent=1, asserted=1, evidence="")

    assert {MUST: Outcome.UNKNOWN, SHOULD: Outcome.WARN} == verdicts(lines)


def test_what_is_reported_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "evidence"
    lines = conclude("a/b", [MUST], [], sent=1, asserted=1, evidence="drei Männer\n🐎")

    report(lines, environ={EVIDENCE_ENV: str(path)})
    report(lines, environ={EVIDENCE_ENV: str(path)})
    report(lines, environ={})

    assert lines * 2 == list(read(path))


@pytest.mark.parametrize(("check", "requirement"), [("nothing", MUST), ("A/b", MUST), ("a/b", "ORCH-9999")])
def test_ids_that_are_none_are_refused(check: str, requirement: str) -> None:
    with pytest.raises(ValueError, match=r"no id of a check|no specification states"):
        Evidence(check, requirement, Outcome.PASS, "")


@given(st.binary() | st.recursive(st.none() | st.text(), st.lists).map(lambda value: json.dumps(value).encode()))
def test_a_file_of_anything_else_is_malformed_or_empty(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("x") / "evidence"
    path.write_bytes(data)

    if data.splitlines():
        with pytest.raises(MalformedEvidenceError, match="evidence:1"):
            list(read(path))
    else:
        assert [] == list(read(path))


@pytest.mark.req("OC-TEST-7020")
def test_coverage_is_what_was_emitted() -> None:
    lines = [
        Evidence("a/b", MUST, Outcome.PASS, ""),
        Evidence("c/d", MUST, Outcome.UNKNOWN, ""),
        Evidence("a/b", SHOULD, Outcome.PASS, ""),
        Evidence("a/b", SHOULD, Outcome.WARN, ""),
    ]

    proved, warned, silent = coverage(lines, [MUST, SHOULD, "ORCH-2001"])

    assert (Outcome.PASS, True) == (proved.verdict, proved.is_proved)
    assert (Outcome.WARN, False) == (warned.verdict, warned.is_proved)
    assert (None, False, {}) == (silent.verdict, silent.is_proved, silent.checks)

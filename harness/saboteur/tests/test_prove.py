"""The proof itself: what it kills, and that it says so when a defect survives, never fires, or is broken."""

import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from harness.outcome import Outcome
from harness.registry.evidence import EVIDENCE_ENV, read
from harness.saboteur.cli import tell
from harness.saboteur.defects import DEFECTS
from harness.saboteur.matrix import Matrix

CLI = [sys.executable, "-c", "from harness.cli import main; main()"]
HEALTH = "authentication/liveness-needs-no-token"


def prove(tmp_path: Path, *options: str) -> tuple[int, dict[str, Any], str]:
    """Run the command; exit code, JSON, output."""
    path = tmp_path / "proof.json"
    done = subprocess.run(
        [*CLI, "prove", "--jobs", "1", "--json", str(path), *options],
        capture_output=True,
        text=True,
        check=False,
    )
    told = json.loads(path.read_text()) if path.exists() else {}
    return done.returncode, told, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.req("OC-TEST-7027", "OC-TEST-7006")
def test_a_defect_is_killed_by_the_check_of_its_requirement(tmp_path: Path) -> None:
    code, told, text = prove(tmp_path, "--defect", "liveness-needs-a-token")

    assert 0 == code, text
    assert ["liveness-needs-a-token"] == told["planted"] == told["killed"]
    assert [HEALTH] == told["defects"][0]["killed_by"]
    assert "killed  liveness-needs-a-token  by " + HEALTH in text
    schema = json.loads(files("contracts").joinpath("reports", "prove.schema.json").read_text("utf-8"))
    assert [] == [error.message for error in jsonschema_rs.validator_for(schema).iter_errors(told)]


@pytest.mark.slow
@pytest.mark.req("OC-TEST-7027")
def test_a_survivor_fails_the_proof_and_is_named_with_its_command(tmp_path: Path) -> None:
    weak = ("--defects-from", "harness.saboteur.tests.weak")
    code, told, text = prove(tmp_path, *weak, "--defect", "nobody-looks-at-this", "--defect", "liveness-needs-a-token")

    assert (1, ["nobody-looks-at-this"]) == (code, told["survivors"]), text
    assert ["liveness-needs-a-token"] == told["killed"]
    assert "llama-orch prove --defect nobody-looks-at-this --full" in text


@pytest.mark.slow
@pytest.mark.req("OC-TEST-7094")
@pytest.mark.parametrize("defect", ["this-never-happens", "this-one-is-broken-itself"])
def test_what_does_not_fire_is_no_proof(tmp_path: Path, defect: str) -> None:
    code, told, text = prove(tmp_path, "--defects-from", "harness.saboteur.tests.weak", "--defect", defect)

    assert (3, [], []) == (code, told["planted"], told["killed"]), text
    assert [defect] == list(told["never_fired"])
    if "broken" in defect:
        assert "KeyError" in told["never_fired"][defect]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        pytest.param(["--defect", "no-such"], "llama-orch prove --list", id="no-such-defect"),
        pytest.param(["--requirement", "ORCH-0001"], "no specification states", id="no-such-requirement"),
        pytest.param(["--requirement", "OC-CONFIG-6002"], "nothing to plant", id="off-the-wire"),
        pytest.param(["--defects-from", "no.such.module"], "no.such.module", id="no-such-module"),
    ],
)
def test_wrong_usage_is_said(tmp_path: Path, options: list[str], why: str) -> None:
    code, _, text = prove(tmp_path, *options)

    assert 2 == code
    assert why in " ".join(text.replace("│", " ").split())


@pytest.mark.req("OC-TEST-7027")
def test_a_whole_proof_is_evidence_and_a_part_of_it_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(EVIDENCE_ENV, str(tmp_path / "evidence.jsonl"))
    weak = {name: defect for name, defect in DEFECTS.items() if name == "no-terminal-frame"}
    tell(Matrix(weak, is_whole=False))
    tell(Matrix(weak, is_whole=True))

    (line,) = read(tmp_path / "evidence.jsonl")
    assert ("OC-TEST-7027", Outcome.UNKNOWN) == (line.requirement, line.verdict)  # nothing was planted


def test_the_list_names_every_defect(tmp_path: Path) -> None:
    code, _, text = prove(tmp_path, "--list")

    assert 0 == code
    assert all(f"{defect}\n" in text for defect in DEFECTS)

"""The requirement index: what it finds in a tree, and each of its gates on a planted violation."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.registry.evidence import EVIDENCE_ENV
from tools.index import coverage, entries, mentions

ROOT = Path(__file__).resolve().parents[2]
INDEX_S_MAX = 3.0  # of processor time: it is part of every lint

SPEC = """# Core

- **ORCH-2001** (MUST) A task MUST be admitted.
- **ORCH-2002** (MUST) A stream MUST end once.
- **ORCH-2003** (SHOULD) A cancel SHOULD be quick.
"""
FEATURE = """@ORCH-2001
Feature: Admission
  Scenario: a task gets in
    When a task is submitted

  @ORCH-2003
  Scenario Outline: a cancel
    When <what> is canceled

    @ORCH-2002
    Examples:
      | what |
      | it   |
"""
TEST = """import pytest

pytestmark = [pytest.mark.slow, pytest.mark.req("ORCH-2003")]


@pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.req("ORCH-2002"))])
def test_a_stream(x): ...


TestMachine = pytest.mark.req("ORCH-2001")(object)


def helper():
    return '@pytest.mark.req("ORCH-9999")'
"""
OPENAPI = """paths:
  /v1/tasks:
    parameters: []
    post: {operationId: createTask, x-req-id: [ORCH-2001]}
components:
  schemas:
    Task:
      properties:
        prompt: {type: string, x-req-id: [ORCH-2003]}
"""
FILES = {
    "contracts/specs/core.md": SPEC,
    "contracts/openapi/data.yaml": OPENAPI,
    "contracts/errors.yaml": "INTERNAL: {req: [ORCH-2002]}\n",
    "features/admission.feature": FEATURE,
    "harness/tests/test_streams.py": TEST,
    "reference_server/app.py": '"""Source: ORCH-2001 … 2003."""\n',
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small whole tree."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def edit(root: Path, name: str, there: str, instead: str) -> None:
    text = (root / name).read_text()
    assert there in text
    (root / name).write_text(text.replace(there, instead))


def test_an_entry_has_its_whole_chain(root: Path) -> None:
    (first, second, third) = json.loads(entries.generate(root)[entries.OUTPUT])

    assert {
        "id": "ORCH-2001",
        "level": "MUST",
        "sentence": "A task MUST be admitted.",
        "spec": "contracts/specs/core.md",
        "contracts": ["contracts/openapi/data.yaml createTask"],
        "scenarios": ["features/admission.feature: a cancel", "features/admission.feature: a task gets in"],
        "tests": ["harness/tests/test_streams.py::TestMachine"],
        "code": ["reference_server/app.py"],
    } == first
    assert ["harness/tests/test_streams.py::test_a_stream"] == second["tests"]
    assert ["contracts/errors.yaml INTERNAL"] == second["contracts"]
    assert ["contracts/openapi/data.yaml Task.prompt"] == third["contracts"]
    assert ["features/admission.feature: a cancel"] == second["scenarios"]
    assert ["TestMachine", "test_a_stream"] == [place.rpartition(":")[2] for place in third["tests"]]
    assert [] == entries.problems(root)


@pytest.mark.req("OC-TEST-7090", "OC-TEST-7004", "OC-TEST-7006")
@pytest.mark.parametrize(
    ("file", "there", "instead", "problem"),
    [
        pytest.param(
            "contracts/specs/core.md",
            "- **ORCH-2003**",
            "- **ORCH-2004** (MUST) It MUST be.\n- **ORCH-2003**",
            "contracts/specs/core.md:5: ORCH-2004 is a MUST without an executable check",
            id="a MUST without a check",
        ),
        pytest.param(
            "features/admission.feature",
            "@ORCH-2001",
            "@ORCH-2001 @ORCH-2222",
            "ORCH-2222 is stated by no specification",
            id="a tag without a sentence",
        ),
        pytest.param(
            "contracts/openapi/data.yaml",
            "[ORCH-2001]",
            "[ORCH-2222]",
            "ORCH-2222 is stated by no specification",
            id="a contract without a sentence",
        ),
        pytest.param(
            "contracts/openapi/data.yaml",
            "[ORCH-2003]",
            "[ORCH-2222]",
            "contracts/openapi/data.yaml Task.prompt: ORCH-2222 is stated by no specification",
            id="a field without a sentence",
        ),
        pytest.param(
            "harness/tests/test_streams.py",
            'req("ORCH-2002")',
            'req("ORCH-2222")',
            "ORCH-2222 is stated by no specification",
            id="a mark without a sentence",
        ),
        pytest.param(
            "harness/tests/test_streams.py",
            'req("ORCH-2002")',
            "req(*IDS)",
            "an id that is not written out is stated by no specification",
            id="a mark that nobody can read",
        ),
    ],
)
def test_a_planted_violation_is_found(root: Path, file: str, there: str, instead: str, problem: str) -> None:
    edit(root, file, there, instead)

    assert any(problem in line for line in entries.problems(root)), entries.problems(root)


@pytest.mark.req("OC-TEST-7090")
@pytest.mark.parametrize("part", ["excluded", "gaps"])
def test_a_reason_stands_for_a_check_until_there_is_one(root: Path, part: str) -> None:
    edit(root, "contracts/specs/core.md", "- **ORCH-2003**", "- **ORCH-2004** (MUST) It MUST be.\n- **ORCH-2003**")
    (root / entries.EXCLUSIONS).write_text(f"{part}:\n  ORCH-2004: no GPU here\n")
    assert [] == entries.problems(root)

    edit(root, "features/admission.feature", "@ORCH-2001", "@ORCH-2001 @ORCH-2004")

    (problem,) = entries.problems(root)
    assert "ORCH-2004 has a check now (features/admission.feature: a cancel)" in problem


@pytest.mark.req("OC-TEST-7090")
def test_generating_drops_a_gap_that_is_closed_and_nothing_else(root: Path) -> None:
    text = "excluded:\n  ORCH-2002: kept\ngaps:\n  ORCH-2001: closed\n"
    (root / entries.EXCLUSIONS).write_text(text)

    assert "excluded:\n  ORCH-2002: kept\ngaps:\n" == entries.generate(root)[entries.EXCLUSIONS]


def test_a_reason_for_an_id_that_is_not_stated_is_found(root: Path) -> None:
    (root / entries.EXCLUSIONS).write_text("gaps:\n  ORCH-2222: why\n")

    assert ["contracts/exclusions.yaml: ORCH-2222 is stated by no specification"] == entries.problems(root)


def test_a_row_of_ids_is_written_out() -> None:
    text = "OC-POOL-3001 … 3003, 3011, ORCH-2001 … ORCH-2002, OC-CTRL-2001"

    assert [
        *("OC-POOL-3001", "OC-POOL-3002", "OC-POOL-3003", "OC-POOL-3011", "ORCH-2001", "ORCH-2002", "OC-CTRL-2001")
    ] == mentions._ids(text)


@pytest.mark.req("OC-TEST-7091")
def test_a_check_that_runs_elsewhere_is_not_missed_as_long_as_it_is_there(root: Path) -> None:
    (root / entries.EXCLUSIONS).write_text("elsewhere:\n  harness/tests/test_streams: needs a GPU\n")
    index = entries.read(root)

    silent = list(coverage.never_ran(index.entries.values(), set(), index.elsewhere))

    assert {"features"} == {line.partition("/")[0] for line in silent}
    assert [] == entries.problems(root)

    (root / entries.EXCLUSIONS).write_text("elsewhere:\n  chaos/: needs a GPU\n")
    assert ["contracts/exclusions.yaml: no check begins with chaos/"] == entries.problems(root)


# ── what ran ──


@pytest.mark.req("OC-TEST-7091")
def test_a_check_that_never_ran_is_found_by_what_a_run_emitted(root: Path, tmp_path: Path) -> None:
    index = entries.read(root)
    everything = {(mention.check, mention.id) for entry in index.entries.values() for mention in entry.checks}
    assert [] == list(coverage.never_ran(index.entries.values(), everything))

    silent = list(coverage.never_ran(index.entries.values(), everything - {("admission/a-task-gets-in", "ORCH-2001")}))

    assert [
        "features/admission.feature: a task gets in: admission/a-task-gets-in never looked at ORCH-2001 in this run"
    ] == silent


@pytest.mark.req("OC-TEST-7091")
def test_the_ids_of_checks_are_those_that_a_run_emits(tmp_path: Path) -> None:
    """Joined with a real run of one file and one feature: nothing of them is silent, and all else is."""
    evidence = tmp_path / "run.jsonl"
    wanted = ("harness/tests/test_requirements.py", "harness/checks/tests/test_order.py")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *wanted],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", EVIDENCE_ENV: str(evidence)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert 0 == done.returncode, done.stdout

    index = entries.read(ROOT)
    silent = {
        line.partition("::")[0] for line in coverage.never_ran(index.entries.values(), coverage.emitted([evidence]))
    }

    named = {m.place.partition("::")[0] for e in index.entries.values() for m in e.checks if "::" in m.place}
    assert set(wanted) & named
    assert set() == set(wanted) & silent
    assert named - set(wanted) <= silent


@pytest.mark.req("OC-TEST-7091", "OC-TEST-7090")
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        pytest.param(["--family", "OC-CTRL"], 0, "OC-CTRL-2022  MUST", id="a family"),
        pytest.param(["--family", "NONE"], 2, "no MUST of NONE", id="no such family"),
        pytest.param(["--evidence", "/nowhere/run.jsonl"], 3, "LLAMA_ORCH_EVIDENCE", id="no such file"),
        pytest.param(["--evidence", "/dev/null"], 1, "never looked at", id="nothing ran"),
    ],
)
def test_the_command_says_what_is_checked(arguments: list[str], code: int, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools", "coverage", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (code, True) == (done.returncode, said in done.stdout), done.stdout[-500:] + done.stderr


@pytest.mark.req("HME-023")
def test_a_reader_that_has_seen_enough_gets_no_traceback() -> None:
    line = f"{sys.executable} -m tools coverage | head -n 1"
    done = subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)  # noqa: S607

    assert (1, "") == (done.stdout.count("\n"), done.stderr)


# ── the repository's own ──


@pytest.mark.req("OC-TEST-7090", "OC-TEST-7004")
def test_every_must_of_this_repository_has_a_check_or_a_reason() -> None:
    assert [] == entries.problems(ROOT)


def test_the_index_is_made_in_the_time_that_a_lint_has() -> None:
    started = time.process_time()
    entries.generate(ROOT)

    assert time.process_time() - started < INDEX_S_MAX

"""One change of a contract: what regenerating updates, and which checks fail after it, exactly."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tools import generated
from tools.gen_readme import BEGIN, README
from tools.index.entries import EXCLUSIONS
from tools.index.mentions import CHECKED_PACKAGES

ROOT = Path(__file__).resolve().parents[2]
CHECKS = (
    *("contracts/tests/test_openapi.py", "contracts/tests/test_models.py", "contracts/client/tests"),
    *("-k", "not near_valid and not type_checker"),  # long, and about the tools rather than this contract
)
FAILED = re.compile(r"^FAILED (\S+?::\w+(?:\[[^]]*\])?)", re.MULTILINE)


def optional_field(text: str) -> str:
    """A task may have a nickname."""
    return text.replace(
        "        kv_hint: {type: string, enum: [reuse, cold]}\n",
        "        kv_hint: {type: string, enum: [reuse, cold]}\n        nickname: {type: string, maxLength: 8}\n",
    )


def required_field(text: str) -> str:
    """A task's status has to tell its lane, and the contract's own examples of one do not."""
    return text.replace(
        "      required: [task_id, state, tokens_out]\n      properties:\n",
        "      required: [task_id, state, tokens_out, lane]\n      properties:\n        lane: {type: string}\n",
    )


def another_name(text: str) -> str:
    """An operation is called otherwise."""
    return text.replace("operationId: cancelTask", "operationId: stopTask").replace("cancelTask,", "stopTask,")


def another_id(text: str) -> str:
    """An operation serves one more requirement."""
    return text.replace("x-req-id: [ORCH-2005]", "x-req-id: [ORCH-2005, ORCH-3021]")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of this repository whose generated files are current."""
    for name in CHECKED_PACKAGES:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    generated.write(tmp_path)
    return tmp_path


def change(tree: Path, edit: Callable[[str], str]) -> set[str]:
    """Edit the contract and regenerate.

    Returns:
        The files that changed.
    """
    contract = tree / "contracts/openapi/data.yaml"
    text = contract.read_text(encoding="utf-8")
    assert edit(text) != text
    contract.write_text(edit(text), encoding="utf-8")
    return {str(path) for path in generated.write(tree)}


@pytest.mark.req("ORCH-3044", "OC-CONFIG-6010")
@pytest.mark.parametrize(
    ("edit", "updated"),
    [
        pytest.param(optional_field, {"contracts/models/data.py"}, id="field"),
        pytest.param(
            another_name, {"contracts/client/operations.py", "contracts/requirements.json"}, id="name-of-an-operation"
        ),
        pytest.param(another_id, {"contracts/requirements.json"}, id="id-of-an-operation"),
    ],
)
def test_a_change_updates_exactly_what_follows_from_it(
    tree: Path, edit: Callable[[str], str], updated: set[str]
) -> None:
    assert updated == change(tree, edit)
    assert [] == list(generated.stale(tree))


@pytest.mark.req("ORCH-3044", "OC-CONFIG-6010", "OC-TEST-7006")
def test_every_generated_file_that_somebody_edited_is_found(tree: Path) -> None:
    """The reasons are written by hand, all but those that are dropped: `test_index` has them."""
    wanted = generated.outputs(tree)
    for path, text in wanted.items():
        edited = text.replace(BEGIN, f"{BEGIN}by hand\n") if path == README else f"{text}\n"
        (tree / path).write_text(edited, encoding="utf-8")

    assert set(wanted) - {EXCLUSIONS} == {path for path, _ in generated.stale(tree)}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.req("ORCH-3044", "OC-TEST-7006")
def test_a_required_field_makes_exactly_the_checks_fail_that_must(tree: Path) -> None:
    """The contract's own examples of a status lack it now, so both tests of them fail, and nothing else."""
    change(tree, required_field)

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-header", "--tb=no", *CHECKS],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )

    assert {
        "contracts/tests/test_openapi.py::test_the_rule_holds[data-invalid_examples]",
        *(
            "contracts/client/tests/test_statuses.py::test_a_documented_answer_is_given_as_its_type"
            f"[getTask-200-application/json{number}-{form}]"
            for number in (0, 1)
            for form in ("blocking", "async")
        ),
    } == set(FAILED.findall(done.stdout)), done.stdout[-3000:]
    assert 1 == done.returncode

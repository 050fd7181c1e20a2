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
from tools.index import entries
from tools.index.entries import EXCLUSIONS
from tools.index.mentions import CHECKED_PACKAGES

ROOT = Path(__file__).resolve().parents[2]
CHECKS = (
    *("contracts/tests/test_openapi.py", "contracts/tests/test_models.py", "contracts/client/tests"),
    *("-k", "not near_valid and not type_checker"),  # long, and about the tools rather than this contract
)
SCENARIOS = ("features/test_features.py", "--profile", "core")
FAILED = re.compile(r"^FAILED (\S+?::\w+(?:\[[^]]*\])?)", re.MULTILINE)


def optional_field(text: str) -> str:
    """A task may have a nickname."""
    return text.replace(
        "        kv_hint: {type: string, enum: [reuse, cold]}\n",
        "        kv_hint: {type: string, enum: [reuse, cold]}\n        nickname: {type: string, maxLength: 8}\n",
    )


def required_field(text: str) -> str:
    """A task's status has to tell its lane; neither the contract's own examples nor the server do."""
    return text.replace(
        "      required: [task_id, state, tokens_out]\n      properties:\n",
        "      required: [task_id, state, tokens_out, lane]\n      properties:\n"
        "        lane: {type: string, x-req-id: [ORCH-3004]}\n",
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
def test_a_required_field_updates_types_client_and_index_and_makes_exactly_the_checks_fail_that_must(
    tree: Path,
) -> None:
    """The contract's own examples of a status lack it, and so do the answers of a server that nobody has changed yet:
    tests of the examples, the client that reads them and scenarios in which a status is asked for fail, and nothing
    else.
    """
    types, pact, index = "contracts/models/data.py", "contracts/pacts/client-orchestrator.json", str(entries.OUTPUT)
    assert {types, pact, index} == change(tree, required_field)
    assert "    lane: str\n" in (tree / types).read_text(encoding="utf-8")
    assert '"contracts/openapi/data.yaml TaskStatus.lane"' in (tree / index).read_text(encoding="utf-8")

    failed = failing(tree, *CHECKS)
    scenarios = failing(tree, *SCENARIOS)

    assert {
        "contracts/tests/test_openapi.py::test_the_rule_holds[data-invalid_examples]",
        *(
            "contracts/client/tests/test_statuses.py::test_a_documented_answer_is_given_as_its_type"
            f"[getTask-200-application/json{number}-{form}]"
            for number in (0, 1)
            for form in ("blocking", "async")
        ),
    } == failed
    assert {
        "features/test_features.py::test_a_second_cancel_changes_nothing",
        "features/test_features.py::test_no_token_comes_after_the_cancel_was_answered",
        "features/test_features.py::test_tokens_arrive_while_the_task_still_runs",
    } == scenarios


def failing(tree: Path, *checks: str) -> set[str]:
    """The checks among these that fail in this tree."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-header", "--tb=no", *checks],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode in (0, 1), done.stdout[-3000:] + done.stderr
    return set(FAILED.findall(done.stdout))

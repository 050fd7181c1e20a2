"""What a workflow or an action names and nothing has is found, each kind once; so is what breaks the schemas."""

import shutil
from pathlib import Path

import pytest

from tools import actions, steps
from tools.tests.test_action import ACTION, ROOT, WORKFLOW


@pytest.fixture
def root(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / ".github", tmp_path / ".github")
    return tmp_path


def harm(root: Path, path: Path, old: str, new: str) -> None:
    text = (root / path).read_text()
    assert old in text
    (root / path).write_text(text.replace(old, new, 1))


@pytest.mark.req("OC-TEST-7044")
def test_what_we_ship_names_only_what_there_is() -> None:
    assert [] == actions.problems(ROOT)


@pytest.mark.req("OC-TEST-7044", "OC-TEST-7006")
@pytest.mark.parametrize(
    ("path", "old", "new", "problem"),
    [
        pytest.param(
            *(WORKFLOW, "TARGET: ${{ matrix.target }}", "TARGET: ${{ matrix.targte }}"),
            "nothing is called matrix.targte here",
            id="matrix",
        ),
        pytest.param(
            *(WORKFLOW, "make ${{ matrix.target }}", "make ${{ matrx.target }}"),
            "nothing is called matrx.target here",
            id="context",
        ),
        pytest.param(
            *(WORKFLOW, "token: ${{ env.LLORCH_API_TOKEN }}", "token: ${{ env.TOKEN }}"),
            "nothing is called env.TOKEN here",
            id="env",
        ),
        pytest.param(
            *(WORKFLOW, "          check: conform", "          chekc: conform"),
            "./.github/actions/llama-orch has no input chekc",
            id="input-that-the-action-has-not",
        ),
        pytest.param(
            *(WORKFLOW, "          url: http://127.0.0.1:8080\n", ""),
            "./.github/actions/llama-orch needs the input url",
            id="input-that-the-action-needs",
        ),
        pytest.param(
            *(WORKFLOW, "uses: ./.github/actions/llama-orch", "uses: ./.github/actions/none"),
            "there is no action ./.github/actions/none",
            id="action",
        ),
        pytest.param(
            *(WORKFLOW, 'run: make "$TARGET"', 'run: make "$TARGET'), "bash cannot read the script", id="script"
        ),
        pytest.param(
            *(ACTION, "steps.place.outputs.junit", "steps.plaec.outputs.junit"),
            "no step before it has the id plaec",
            id="step",
        ),
        pytest.param(
            *(ACTION, "steps.place.outputs.junit", "steps.place.outputs.juint"),
            "the step place writes no output juint",
            id="output",
        ),
        pytest.param(
            *(ACTION, "PROFILE: ${{ inputs.profile }}", "PROFILE: ${{ inputs.proflie }}"),
            "nothing is called inputs.proflie here",
            id="input",
        ),
        pytest.param(
            *(ACTION, "if: inputs.check == 'conform'", "if: input.check == 'conform'"),
            "nothing is called input.check here",
            id="condition",
        ),
    ],
)
def test_a_name_of_nothing_is_found(root: Path, path: Path, old: str, new: str, problem: str) -> None:
    harm(root, path, old, new)

    assert any(f"{path}: {problem}" in line for line in actions.problems(root)), actions.problems(root)


@pytest.mark.req("OC-TEST-7044", "OC-TEST-7006")
def test_a_step_cannot_name_one_that_comes_after_it(root: Path) -> None:
    harm(
        root, ACTION, "python-version: ${{ inputs.python-version }}", "python-version: ${{ steps.place.outputs.junit }}"
    )

    assert [f"{ACTION}: no step before it has the id place"] == actions.problems(root)


@pytest.mark.req("OC-TEST-7044", "OC-TEST-7006")
@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        pytest.param(WORKFLOW, "  push:\n", "  psuh:\n", id="event"),
        pytest.param(WORKFLOW, "timeout-minutes: 60", "timeout-minutes: soon", id="number"),
        pytest.param(ACTION, "      if: inputs.check ==", "      fi: inputs.check ==", id="key-of-a-step"),
        pytest.param(ACTION, "using: composite", "using: docker", id="kind"),
    ],
)
def test_what_breaks_the_schema_is_found(root: Path, path: Path, old: str, new: str) -> None:
    harm(root, path, old, new)

    assert not steps.LINT["workflows"](root).passed


def test_an_empty_folder_is_no_pass(tmp_path: Path) -> None:
    assert [".github: no workflow and no action found"] == actions.problems(tmp_path)

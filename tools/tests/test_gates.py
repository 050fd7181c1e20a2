"""Every step of the lint fails on a violation that is planted in a copy of this repository, and passes without it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tools import steps
from tools.index.mentions import CHECKED_PACKAGES

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Planted:
    """One violation.

    Attributes:
        file: what is changed, or made.
        there: what of it is replaced; none = `instead` is the file's whole text, or its new end.
        said: what the step has to say of it.
    """

    step: str
    file: str
    instead: str
    said: str
    there: str = ""


PLANTED = {
    "layout": Planted("format", "harness/planted.py", '"""Planted."""\n\nX=1\n', "1 file would be reformatted"),
    "unused import": Planted("lint", "harness/planted.py", '"""Planted."""\n\nimport os\n', "F401"),
    "print": Planted("lint", "harness/planted.py", '"""Planted."""\n\nprint(1)\n', "T201"),
    "shell": Planted(
        "lint",
        "harness/planted.py",
        '"""Planted."""\n\nimport subprocess\n\nsubprocess.run("ls", shell=True, check=True)\n',
        "S602",
    ),
    "generated file": Planted(
        "generated", "contracts/client/operations.py", "# by hand\n", "contracts/client/operations.py is stale"
    ),
    "sentence": Planted("specs", "contracts/specs/core.md", "- **OC-CORE-1999** (MUST) It is.\n", "0 normative verbs"),
    "id in the code": Planted(
        "ids", "harness/planted.py", '"""Source: ORCH-9999."""\n', "ORCH-9999 is stated by no specification"
    ),
    "tag": Planted(
        "index", "features/admission.feature", "@ORCH-9999\nFeature:", "ORCH-9999 is stated by no", there="Feature:"
    ),
    "sentence without a check": Planted(
        "index",
        "contracts/specs/core.md",
        "- **OC-CORE-1999** (MUST) It MUST be.\n",
        "OC-CORE-1999 is a MUST without an executable check",
    ),
    "link": Planted("links", "README.md", "\n[x](none.md)\n", "README.md: none.md: no such file"),
    "panel": Planted(
        "queries", "contracts/metrics/dashboards/engines.json", "breaker_state", "no series", there="breaker_open"
    ),
    "alert": Planted("queries", "contracts/metrics/alerts.yaml", "breaker_state", "no series", there="breaker_open"),
    "key of a workflow": Planted("workflows", ".github/workflows/ci.yml", "  psuh:\n", "psuh", there="  push:\n"),
    "name in a workflow": Planted(
        "names", ".github/workflows/ci.yml", "matrix.targte", "nothing is called matrix.targte", there="matrix.target"
    ),
    "injection": Planted(
        "actions",
        ".github/actions/llama-orch/action.yml",
        'conform --url "${{ inputs.url }}"',
        "template-injection",
        there='conform --url "$URL"',
    ),
}
IMPORTS = {  # by the id of the contract: who imports what
    "wire-only": ("harness", "reference_server.app"),
    "server-alone": ("reference_server", "harness.sse"),
    "raw-contracts": ("chaos", "contracts.models"),
    "client-alone": ("contracts.client", "harness.sse"),
    "harness-alone": ("harness", "determinism"),
    "suites-apart": ("chaos", "determinism"),
    "sans-io": ("reference_server.domain", "asyncio"),
    "layers": ("reference_server.domain", "reference_server.web"),
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the steps read of this repository."""
    root = tmp_path_factory.mktemp("copy")
    for name in (*CHECKED_PACKAGES, ".github", ".ci"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "*cache"))
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", "Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, root)
    return root


@contextmanager
def planted(root: Path, name: str, instead: str, there: str = "") -> Iterator[None]:
    """The violation, and after it the file as it was."""
    file = root / name
    old = file.read_text(encoding="utf-8") if file.exists() else None
    assert there in (old or "")
    file.write_text((old or "").replace(there, instead, 1) if there else (old or "") + instead, encoding="utf-8")
    try:
        yield
    finally:
        file.unlink() if old is None else file.write_text(old, encoding="utf-8")


@pytest.mark.req("OC-TEST-7006", "OC-CONFIG-6010", "OC-TEST-7004", "OC-TEST-7090", "OC-METRICS-7121")
@pytest.mark.parametrize("violation", PLANTED.values(), ids=PLANTED)
def test_a_step_fails_on_a_planted_violation(copy: Path, violation: Planted) -> None:
    with planted(copy, violation.file, violation.instead, violation.there):
        verdict = steps.LINT[violation.step](copy)

    assert not verdict.passed
    assert violation.said in verdict.output


@pytest.mark.parametrize("step", [name for name in steps.LINT if name != "types"])
def test_a_step_passes_where_nothing_is_planted(copy: Path, step: str) -> None:
    verdict = steps.LINT[step](copy)

    assert verdict.passed, verdict.output


@pytest.mark.req("OC-TEST-7005", "OC-TEST-7006")
@pytest.mark.parametrize("contract", IMPORTS)
def test_an_import_that_is_not_allowed_breaks_its_rule(copy: Path, contract: str) -> None:
    package, imported = IMPORTS[contract]
    with planted(copy, f"{package.replace('.', '/')}/planted.py", f'"""Planted."""\n\nimport {imported}\n'):
        verdict = steps.LINT["imports"](copy)

    assert not verdict.passed
    assert f"{package}.planted -> {imported}" in verdict.output


@pytest.mark.req("OC-TEST-7006")
def test_a_wrong_type_is_found(tmp_path: Path) -> None:
    """With the project's settings, on packages that hold nothing else."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name in CHECKED_PACKAGES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text('"""Empty."""\n')
    assert steps.LINT["types"](tmp_path).passed

    (tmp_path / "chaos" / "planted.py").write_text('"""Planted."""\n\nX: int = "one"\n\n\ndef f(x): return x\n')
    verdict = steps.LINT["types"](tmp_path)

    assert not verdict.passed
    assert ["assignment", "no-untyped-def"] == [line.rpartition("[")[2].rstrip("]") for line in _errors(verdict.output)]


def _errors(output: str) -> list[str]:
    return [line for line in output.splitlines() if ": error:" in line]


def test_every_step_has_a_planted_violation() -> None:
    assert {*(violation.step for violation in PLANTED.values()), "imports", "types"} == set(steps.LINT)


def test_every_rule_of_imports_has_a_planted_violation() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")

    assert list(IMPORTS) == [
        part.partition('"')[0] for part in text.split('[[tool.importlinter.contracts]]\nid = "')[1:]
    ]

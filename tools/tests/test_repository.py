"""The repository as a whole: its shape, its generated files, its lock file, its documents."""

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from harness.requirements import load
from tools import generated, links, lock, references, spec_lint, tree

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {"reference_server", "harness", "features", "determinism", "chaos", "contracts", "tools"}
TOP = PACKAGES | {"README.md", "LICENSE", "CHANGELOG.md", "Makefile", "pyproject.toml"}
TOP_OPTIONAL = {"CONTRIBUTING.md"}
SHAPELESS = {"utils", "util", "common", "helpers", "helper", "misc"}

PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)", re.MULTILINE)
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")
MAKE = re.compile(r"\bmake ([a-z][a-z0-9-]*)\b")
CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
DECISION_LINES_MAX = 40


def top_level(root: Path) -> set[str]:
    """What a reader of a clone sees first: everything that git keeps and that is not hidden."""
    listed = subprocess.run(["git", "ls-files"], cwd=root, check=True, text=True, capture_output=True).stdout  # noqa: S607
    return {path.partition("/")[0] for path in listed.splitlines() if not path.startswith(".")}


def declared() -> list[Requirement]:
    """Every dependency that pyproject.toml names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    texts = [
        *project["project"]["dependencies"],
        *project["dependency-groups"]["dev"],
        *project["build-system"]["requires"],
    ]
    return [Requirement(text) for text in texts]


def out_of_step(wanted: list[Requirement], locked: str) -> Iterator[str]:
    """What is wrong with a lock file for these dependencies."""
    blocks = {canonicalize_name(block["name"]): block for block in PIN.finditer(locked)}
    starts = sorted(block.start() for block in blocks.values())
    for requirement in wanted:
        block = blocks.get(canonicalize_name(requirement.name))
        if block is None:
            yield f"{requirement.name} is not pinned"
        elif not requirement.specifier.contains(block["version"]):
            yield f"{requirement.name} is pinned to {block['version']}, outside {requirement.specifier}"
    for name, block in blocks.items():
        following = next((start for start in starts if start > block.start()), len(locked))
        if not HASH.search(locked[block.start() : following]):
            yield f"{name} has no hash"


def make_targets() -> set[str]:
    """The targets of the Makefile."""
    return set(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def make_commands(text: str) -> set[str]:
    """The targets that the code of a Markdown text calls."""
    return {target for code in CODE.findall(text) for target in MAKE.findall(code)}


def test_the_top_level_is_as_the_architecture_fixes_it() -> None:
    assert TOP == top_level(ROOT) - TOP_OPTIONAL


def test_every_package_is_typed() -> None:
    found = {path.parent.name for path in ROOT.glob("*/__init__.py")}

    assert PACKAGES == found
    assert PACKAGES == {path.parent.name for path in ROOT.glob("*/py.typed")}


def test_no_module_or_folder_is_named_after_nothing() -> None:
    named = {part for path in tree.files(ROOT, {".py"}) for part in path.relative_to(ROOT).with_suffix("").parts}

    assert set() == named & SHAPELESS


def test_the_lock_file_is_in_step_with_the_project() -> None:
    assert [] == list(out_of_step(declared(), (ROOT / lock.LOCK).read_text()))


@pytest.mark.req("OC-TEST-7006")
@pytest.mark.parametrize(
    ("locked", "problem"),
    [
        pytest.param("", "ruff is not pinned", id="missing"),
        pytest.param(f"ruff==1.0 \\\n    --hash=sha256:{'0' * 64}\n", "ruff is pinned to 1.0, outside", id="outside"),
        pytest.param("ruff==0.17.1\n", "ruff has no hash", id="no-hash"),
        pytest.param(f"ruff==0.17.1\nother==1 \\\n    --hash=sha256:{'0' * 64}\n", "ruff has no hash", id="next-ones"),
    ],
)
def test_a_lock_file_out_of_step_is_found(locked: str, problem: str) -> None:
    (found,) = out_of_step([Requirement("ruff>=0.17,<1")], locked)

    assert found.startswith(problem)


@pytest.mark.req("OC-CONFIG-6010", "ORCH-3044")
def test_every_generated_file_is_current() -> None:
    assert [] == list(generated.stale(ROOT))


@pytest.mark.req("OC-TEST-7004")
def test_the_specifications_keep_their_grammar() -> None:
    assert [] == spec_lint.lint(ROOT)


@pytest.mark.req("OC-TEST-7004")
def test_every_mentioned_requirement_is_stated() -> None:
    assert [] == references.unknown(ROOT, load())


def test_no_link_leads_nowhere() -> None:
    assert [] == links.broken(ROOT)


@pytest.mark.req("HME-005")
def test_the_readme_names_the_two_commands_of_a_fresh_machine() -> None:
    assert {"conform", "test"} <= make_commands((ROOT / "README.md").read_text())


@pytest.mark.req("HME-005")
def test_every_make_command_of_the_documents_is_a_target() -> None:
    called = {target for path in ROOT.glob("*.md") for target in make_commands(path.read_text())}

    assert set() == called - make_targets()


def test_only_code_calls_make() -> None:
    assert {"test", "conform-real"} == make_commands("Then make sure:\n```\nmake test\n```\nor `make conform-real`.")


def test_decisions_are_numbered_without_a_gap_and_fit_a_page() -> None:
    pages = sorted((ROOT / "contracts" / "decisions").glob("*.md"))

    assert [f"{number:04d}" for number in range(1, len(pages) + 1)] == [page.name[:4] for page in pages]
    assert [] == [page.name for page in pages if len(page.read_text().splitlines()) > DECISION_LINES_MAX]


def test_the_changelog_has_a_place_for_what_comes() -> None:
    assert re.search(r"^## \[?Unreleased\]?$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def server_imports(source: str) -> list[str]:
    """What a module imports of the reference server, wherever in it."""
    found = []
    for node in ast.walk(ast.parse(source)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"import_module", "importlib.import_module"}:
            names += [arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
        found += [name for name in names if name.partition(".")[0] == "reference_server"]
    return found


@pytest.mark.req("OC-TEST-7005")
def test_whoever_judges_a_server_imports_none_of_it() -> None:
    """Not even in tests, nor inside a function: a process and HTTP are all they have. import-linter holds the rest."""
    judging = [path for name in ("harness", "features", "determinism", "chaos") for path in (ROOT / name).rglob("*.py")]

    assert len(judging) > 100
    assert {} == {
        str(path.relative_to(ROOT)): found for path in judging if (found := server_imports(path.read_text("utf-8")))
    }


@pytest.mark.req("OC-TEST-7005", "OC-TEST-7006")
@pytest.mark.parametrize(
    "source",
    [
        "import reference_server.app",
        "def f():\n    from reference_server.domain import core",
        "import importlib\nimportlib.import_module('reference_server.app')",
    ],
)
def test_an_import_of_the_server_is_found(source: str) -> None:
    assert 1 == len(server_imports(source))

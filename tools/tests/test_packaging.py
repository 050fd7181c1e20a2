"""The wheel, and the plain names of our packages, which anybody else's distribution might take too."""

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = {"reference_server", "harness", "features", "determinism", "chaos", "contracts"}
OURS = SHIPPED | {"tools"}

# Runs in a fresh isolated interpreter: inside pytest, `pythonpath` puts our root first and would hide an intruder.
ORIGINS = """
import importlib.util, json, sys
sys.path[:0] = sys.argv[2:]
print(json.dumps({name: importlib.util.find_spec(name).origin for name in sys.argv[1].split(",")}))
"""

PLACE = """
import sys
sys.path.insert(0, sys.argv[1])
from harness import requirements
print(requirements.__file__, requirements.load()["HME-001"].place)
"""


def origins(folder: Path, *first_on_path: Path) -> dict[str, str]:
    """Where our names come from, asked by an interpreter that was started in `folder`."""
    command = [sys.executable, "-I", "-c", ORIGINS, ",".join(sorted(OURS)), *map(str, first_on_path)]
    done = subprocess.run(command, cwd=folder, check=True, text=True, capture_output=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def foreign(found: dict[str, str]) -> set[str]:
    """The names that do not come from this repository."""
    return {name for name, origin in found.items() if not Path(origin).resolve().is_relative_to(ROOT)}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our wheel, built by the locked hatchling: nothing is fetched."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert 0 == done.returncode, done.stdout
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_our_names_resolve_inside_this_repository_from_anywhere(tmp_path: Path) -> None:
    assert set() == foreign(origins(tmp_path))


@pytest.mark.req("OC-TEST-7006")
def test_an_intruder_with_a_name_of_ours_is_found(tmp_path: Path) -> None:
    (tmp_path / "contracts").mkdir()
    (tmp_path / "contracts" / "__init__.py").touch()

    assert {"contracts"} == foreign(origins(tmp_path, tmp_path))


def test_the_wheel_ships_exactly_our_packages(names: set[str]) -> None:
    top = {name.partition("/")[0] for name in names}

    assert SHIPPED == {name for name in top if not name.endswith(".dist-info")}
    assert 1 == sum(name.endswith(".dist-info") for name in top)


def test_the_wheel_holds_no_tests_and_no_leftovers(names: set[str]) -> None:
    parts = re.compile(r"(^|/)(tests|__pycache__|test_[^/]*\.py|conftest\.py)(/|$)")

    assert {"features/test_features.py"} >= {name for name in names if parts.search(name)}


@pytest.mark.parametrize(
    ("folder", "pattern"),
    [
        pytest.param("features", "**/*.feature", id="features"),
        pytest.param("contracts", "**/*.yaml", id="contracts"),
        pytest.param("contracts", "specs/*.md", id="specifications"),
        pytest.param("contracts", "**/*.json", id="schemas"),
        pytest.param(".", "*/py.typed", id="type-markers"),
    ],
)
def test_the_wheel_holds_what_its_code_reads(names: set[str], folder: str, pattern: str) -> None:
    wanted = {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).glob(pattern)}
    wanted = {name for name in wanted if name.partition("/")[0] in SHIPPED and "/tests/" not in name}

    assert wanted
    assert set() == wanted - names


def test_the_wheel_carries_the_licence_and_the_command(names: set[str], wheel: Path) -> None:
    (info,) = {name.partition("/")[0] for name in names if ".dist-info/" in name}
    with zipfile.ZipFile(wheel) as archive:
        entry_points = archive.read(f"{info}/entry_points.txt").decode()
        metadata = archive.read(f"{info}/METADATA").decode()

    assert f"{info}/licenses/LICENSE" in names
    assert "llama-orch = harness.cli:main" in entry_points
    assert "Name: llama-orch" in metadata
    assert "License-Expression: GPL-3.0-or-later" in metadata


def test_the_harness_finds_its_specifications_inside_the_wheel(wheel: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-I", "-c", PLACE, str(wheel)]

    done = subprocess.run(command, cwd=tmp_path, check=True, text=True, capture_output=True)

    assert done.stdout.startswith(str(wheel))
    assert re.search(r" specs/home\.md:\d+$", done.stdout)


def test_the_wheel_lists_its_packages_by_hand() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())

    assert SHIPPED == set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])

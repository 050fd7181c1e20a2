"""The developer's loop: what it leaves out, and what it says of a test that has become slow."""

import subprocess
import sys
from pathlib import Path

import pytest

from tools import loop

pytest_plugins = ("pytester",)

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = ("-p", "harness.pytest_plugin", "-p", "tools.loop", "-p", "no:cacheprovider", "--strict-markers")
STARTS = "subprocess.run([sys.executable, '-c', ''], check=True)"
IMPORTS = "import subprocess, sys\nimport pytest\n"
SUITES = {
    "quick": "def test_a(): pass\n",
    "direct": f"{IMPORTS}def test_a(): {STARTS}\ndef test_b(): pass\n",
    "fixture": f"{IMPORTS}@pytest.fixture(scope='module')\ndef server(): {STARTS}\n"
    "def test_a(server): pass\ndef test_b(server): pass\ndef test_c(): pass\n",
    "every": f"{IMPORTS}@pytest.mark.parametrize('x', [1, 2])\ndef test_a(x): {STARTS}\n",
    "method": f"{IMPORTS}class TestIt:\n    def test_a(self): {STARTS}\n    def test_b(self): pass\n",
    "teardown": f"{IMPORTS}@pytest.fixture\ndef part():\n    yield\n    {STARTS}\n"
    "def test_a(part): pass\ndef test_b(): pass\n",
}
LISTED = [
    "test_direct.py::test_a",
    "test_every.py",
    "test_fixture.py::test_a",
    "test_fixture.py::test_b",
    "test_method.py::TestIt::test_a",
    "test_teardown.py::test_a",
]
QUICK = {
    *("test_direct.py::test_b", "test_fixture.py::test_c", "test_method.py::TestIt::test_b", "test_quick.py::test_a"),
    "test_teardown.py::test_b",
}


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    """Quick tests, and some that start a process in each way."""
    for name, text in SUITES.items():
        pytester.path.joinpath(f"test_{name}.py").write_text(text, encoding="utf-8")
    pytester.path.joinpath("none.txt").touch()
    pytester.path.joinpath("slow.txt").write_text("\n".join(LISTED), encoding="utf-8")
    return pytester


@pytest.mark.req("OC-TEST-7043", "OC-TEST-7006")
@pytest.mark.parametrize("workers", ["0", "2"])
def test_what_starts_a_process_is_listed(suite: pytest.Pytester, workers: str) -> None:
    suite.runpytest_subprocess(*PLUGIN, "--measure", "measured.txt", "-n", workers)

    assert LISTED == sorted(loop.names(suite.path.joinpath("measured.txt").read_text("utf-8")))


@pytest.mark.req("OC-TEST-7043", "OC-TEST-7006")
@pytest.mark.parametrize("workers", ["0", "2"])
def test_what_starts_a_process_and_is_not_listed_fails_the_loop(suite: pytest.Pytester, workers: str) -> None:
    done = suite.runpytest_subprocess(*PLUGIN, "--slow", "none.txt", "-n", workers)

    named = {line.removesuffix(" starts a process") for line in done.outlines if line.endswith(" starts a process")}
    assert {name.replace("every.py", "every.py::test_a") for name in LISTED} == named
    assert "make them faster, or add their names to tools/slow.txt" in done.outlines
    assert 1 == done.ret


@pytest.mark.req("OC-TEST-7043")
def test_the_loop_leaves_out_exactly_what_is_listed(suite: pytest.Pytester) -> None:
    done = suite.runpytest_subprocess(*PLUGIN, "--slow", "slow.txt", "-m", "not slow", "-v")

    assert QUICK == {line.partition(" ")[0] for line in done.outlines if line.endswith("%]")}
    assert 0 == done.ret


@pytest.mark.req("OC-TEST-7006")
def test_a_failure_is_still_a_failure(pytester: pytest.Pytester) -> None:
    pytester.path.joinpath("test_failed.py").write_text("def test_a(): assert 0\n", encoding="utf-8")
    pytester.path.joinpath("none.txt").touch()

    assert 1 == pytester.runpytest_subprocess(*PLUGIN, "--slow", "none.txt").ret


def costs(**told: loop.Cost) -> dict[str, loop.Cost]:
    return {f"a.py::{name}": cost for name, cost in told.items()}


@pytest.mark.req("OC-TEST-7043", "OC-TEST-7006")
def test_a_test_that_computes_for_long_fails_the_loop_and_one_that_waited_for_a_processor_does_not() -> None:
    found = loop.too_slow(costs(busy=loop.Cost(cpu_s=5.1), waited=loop.Cost(seconds=60, cpu_s=0.1)))

    assert ["a.py::busy takes 5.1 s of processor time"] == found


def test_what_takes_long_is_listed_and_a_scenario_is_chosen_by_its_profile() -> None:
    found = loop.listed(
        costs(long=loop.Cost(seconds=0.6), quick=loop.Cost(seconds=0.1), scenario=loop.Cost(starts=1, is_scenario=True))
    )

    assert ["a.py::long"] == sorted(loop.names(found))


def test_a_name_that_no_test_has_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("def test_a(): ...\n")

    found = loop.problems(tmp_path, ["a.py", "a.py::test_a", "a.py::test_b", "b.py"])

    assert ["tools/slow.txt: no such test: a.py::test_b", "tools/slow.txt: no such test: b.py"] == found


def test_the_list_of_this_repository_names_only_what_there_is() -> None:
    assert [] == loop.problems(ROOT, loop.names(loop.SLOW_FILE.read_text("utf-8")))


@pytest.mark.req("OC-TEST-7042")
def test_the_loop_runs_the_scenarios_of_its_profile_and_no_other() -> None:
    command = [sys.executable, "-m", "pytest", "-p", "tools.loop", "--collect-only", "-q", "features/test_features.py"]

    told = [
        subprocess.run([*command, *selected], cwd=ROOT, capture_output=True, text=True, check=False).stdout
        for selected in (("-m", "not slow"), ("--profile", "core"))
    ]

    in_the_loop, of_the_profile = ({line for line in text.splitlines() if "::" in line} for text in told)
    assert in_the_loop
    assert in_the_loop == of_the_profile

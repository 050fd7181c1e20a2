"""A mutant that no test notices is found; one that is listed with its reason is let be, and nothing else is."""

import json
from pathlib import Path
from typing import Any

import pytest

from tools import mutants
from tools.mutants import Mutant

CODE = """\
class Queue:
    def is_full(self, count, bound):
        return count >= bound


def double(count):
    return count * 2
"""
TESTS = """\
from sample.parts.bounds import Queue, double


def test_above_the_bound():
    assert Queue().is_full(3, 2)
    assert not Queue().is_full(1, 2)


def test_double():
    assert double(3) == 6
"""
AT_THE_BOUND = "\n\ndef test_at_the_bound():\n    assert Queue().is_full(2, 2)\n"
SAMPLE: Any = {"package": "sample.parts", "left_out": (), "listed_in": Path("survivors.diff")}
PLANTED = Mutant("bounds.Queue.is_full", ("- return count >= bound", "+ return count > bound"))


def package(root: Path, tests: str, listed: str) -> None:
    """`sample.parts`, with one module and its tests."""
    files = {
        "sample/__init__.py": "",
        "sample/parts/__init__.py": "",
        "sample/parts/bounds.py": CODE,
        "sample/parts/tests/test_bounds.py": tests,
        "survivors.diff": listed,
    }
    for name, text in files.items():
        root.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
        root.joinpath(name).write_text(text, encoding="utf-8")


@pytest.mark.req("OC-TEST-7045", "OC-TEST-7006")
@pytest.mark.parametrize(
    ("tests", "listed", "code", "said"),
    [
        pytest.param(TESTS, "", 1, f"survivors without a reason (survivors.diff):\n{PLANTED}", id="planted"),
        pytest.param(
            TESTS + AT_THE_BOUND,
            f"# No test.\n{PLANTED}\n",
            1,
            f"no survivors (survivors.diff):\n{PLANTED}",
            id="stale",
        ),
        pytest.param(TESTS + "    assert 0\n", "", 3, "no verdict: mutmut run", id="red"),
    ],
)
def test_what_survives_is_what_is_listed(tmp_path: Path, tests: str, listed: str, code: int, said: str) -> None:
    package(tmp_path, tests, listed)
    lines: list[str] = []

    found = mutants.check(tmp_path, json_file=tmp_path / "out.json", say=lines.append, **SAMPLE)

    assert (code, True) == (found, said in "\n".join(lines)), lines
    if code != mutants.EXIT_COULD_NOT_RUN:
        told = json.loads((tmp_path / "out.json").read_text("utf-8"))
        assert told["mutants"] - told["killed"] == len(told["survivors"])


@pytest.mark.req("OC-TEST-7045", "OC-TEST-7006")
@pytest.mark.parametrize(
    ("killed", "survivors", "listed", "code"),
    [
        pytest.param(90, {PLANTED}, f"# Why.\n{PLANTED}\n", 0, id="listed"),
        pytest.param(89, {PLANTED}, f"# Why.\n{PLANTED}\n", 1, id="below the score"),
        pytest.param(99, {PLANTED}, "", 1, id="without a reason"),
        pytest.param(100, set(), f"# Why.\n{PLANTED}\n", 1, id="no survivor any more"),
    ],
)
def test_the_verdict(tmp_path: Path, killed: int, survivors: set[Mutant], listed: str, code: int) -> None:
    package(tmp_path, TESTS, listed)
    said = list[str]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mutants, "tried", lambda *_: mutants.Found(100, killed, frozenset(survivors)))
        found = mutants.check(tmp_path, json_file=None, say=said.append, **SAMPLE)

    assert code == found, said


@pytest.mark.req("OC-TEST-7045")
def test_every_listed_survivor_has_a_reason() -> None:
    listed = mutants.read((Path(__file__).parents[2] / mutants.SURVIVORS).read_text("utf-8"))

    assert [] == [mutant for mutant, why in listed.items() if not why or not mutant.change]

"""A test whose verdict changes is found, and so is one that always fails; one that always passes is not."""

import json
from pathlib import Path

import pytest

from tools import flakes

ROOT = Path(__file__).resolve().parents[2]
HEAD = "from pathlib import Path\ncount = Path(__file__).with_suffix('.count')\n"
COUNT = "with count.open('a') as out: out.write('x')\n"
TESTS = {
    "steady": "def test_a(): pass\n",
    "failing": "def test_a(): pass\ndef test_b(): assert 0, 'as always'\n",
    "flaky": f"{HEAD}{COUNT}def test_a():\n    told = 'the second' + 9_000 * '\\n.' + 'a line of its output'\n"
    "    assert len(count.read_text()) != 2, told\n",
    "unknown": f"{HEAD}{COUNT}def test_a(record_property):\n"
    "    record_property('outcome', 'UNKNOWN' if len(count.read_text()) == 2 else 'PASS')\n",
    "vanishing": f"{HEAD}{COUNT}if len(count.read_text()) != 2:\n    def test_a(): pass\ndef test_b(): pass\n",
    "broken": "import nothing_of_this_name\n",
}


@pytest.mark.req("OC-TEST-7012", "OC-TEST-7006")
@pytest.mark.parametrize(
    ("suite", "code", "says"),
    [
        pytest.param("steady", 0, "3 runs, 0 tests with different verdicts, 0 that failed each time", id="steady"),
        pytest.param("failing", 1, "  fails: test_failing::test_b: FAIL", id="failing"),
        pytest.param("flaky", 1, "differs: test_flaky::test_a: PASS FAIL", id="flaky"),
        pytest.param("vanishing", 1, "differs: test_vanishing::test_a: PASS ABSENT", id="vanishing"),
        pytest.param("unknown", 0, "left unknown in 1 of 3 runs: test_unknown::test_a", id="unknown"),
        pytest.param("broken", 3, "run 1 of 3 came to no verdicts", id="broken"),
    ],
)
def test_a_verdict_that_changes_is_a_flake(tmp_path: Path, suite: str, code: int, says: str) -> None:
    tmp_path.joinpath(f"test_{suite}.py").write_text(TESTS[suite], encoding="utf-8")
    said: list[str] = []
    settings = ("-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path))  # those of the suite itself
    arguments = ("-p", "no:cacheprovider", *settings, str(tmp_path))

    found = flakes.soak(tmp_path, runs=3, arguments=arguments, json_file=tmp_path / "out.json", say=said.append)

    assert suite != "flaky" or any("a line of its output" in line for line in said), said
    assert (code, True) == (found, any(says in line for line in said)), said
    if code != flakes.EXIT_COULD_NOT_RUN:
        assert 3 == json.loads((tmp_path / "out.json").read_text("utf-8"))["runs"]

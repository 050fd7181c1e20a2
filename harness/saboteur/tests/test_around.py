"""Defects of the log and of the end, around a process."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

LINE = {"event": "admitted", "job_id": "j", "queue_position": 2, "tokens_out": 0, "decode_time_ms": None}
WRITES = f"import sys; sys.stderr.write({json.dumps(json.dumps(LINE))} + chr(10) + 'no JSON' + chr(10)); sys.exit(0)"


def around(defect: str, fired: Path) -> tuple[int, list[str], int]:
    """Exit code, what came on standard error, how often the defect has fired."""
    command = [sys.executable, "-m", "harness.saboteur.around", defect, str(fired), sys.executable, "-c", WRITES]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr.splitlines(), len(fired.read_bytes()) if fired.exists() else 0


@pytest.mark.parametrize(
    ("defect", "changed"),
    [
        pytest.param("an-admission-without-place", {**LINE, "queue_position": 3}, id="another-place"),
        pytest.param("a-line-without-its-correlation", LINE, id="nothing-to-change"),
    ],
)
def test_a_line_is_changed_and_everything_else_passes(tmp_path: Path, defect: str, changed: dict[str, object]) -> None:
    code, shown, fired = around(defect, tmp_path / "fired")

    assert (0, changed, "no JSON") == (code, json.loads(shown[0]), shown[1])
    assert int(changed != LINE) == fired


def test_another_exit_code_leaves_the_log_alone(tmp_path: Path) -> None:
    code, shown, fired = around("a-stop-is-a-failure", tmp_path / "fired")

    assert (1, LINE, 1) == (code, json.loads(shown[0]), fired)

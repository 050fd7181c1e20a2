"""Misuse of the client is an error for mypy and for pyright, and right use is none for either."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from contracts.client.tests.contract import ROOT

USES = Path(__file__).with_name("misuse.py.txt")
COMMANDS = {
    "mypy": ("mypy", "--strict", "--no-error-summary", "misuse.py"),
    "pyright": ("pyright", "--pythonpath", sys.executable, "--project", "."),
}
SETTINGS = {"typeCheckingMode": "strict", "extraPaths": [str(ROOT)]}
LINE = re.compile(r"misuse\.py:(\d+)[:\d]* (?:- )?error")


@pytest.mark.req("ORCH-3101")
@pytest.mark.parametrize("checker", COMMANDS)
def test_a_type_checker_refuses_exactly_the_misuses(tmp_path: Path, checker: str) -> None:
    copy = tmp_path / "misuse.py"
    text = USES.read_text(encoding="utf-8")
    copy.write_text(text, encoding="utf-8")
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(SETTINGS), encoding="utf-8")
    wrong = {number for number, line in enumerate(text.splitlines(), 1) if line.endswith("# error")}

    done = subprocess.run(
        [sys.executable, "-m", *COMMANDS[checker]],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )

    printed = done.stdout + done.stderr
    assert wrong == {int(number) for number in LINE.findall(printed)}, printed
    assert len(wrong) >= 15

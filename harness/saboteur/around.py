"""Runs a server with a defect in its log or in its end: `python -m harness.saboteur.around ID FIRED COMMAND…`.

What a server writes to its standard error and how it exits are not on the wire, so that these defects sit around its
process. FIRED is a file that grows by a byte for each time the defect has fired.
"""

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.history import parsed
from harness.saboteur.defect import Defect
from harness.saboteur.defects import DEFECTS


def run(defect: Defect, fired: Path, command: Sequence[str]) -> int:
    """Run the command to its end, and give its exit code as the defect has it."""
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, encoding="utf-8") as child:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda given, _: child.send_signal(given))
        for line in child.stderr or ():
            for shown in _lines(defect, fired, line):
                sys.stderr.write(shown)
                sys.stderr.flush()
        code = child.wait()
    if defect.kind != "exits":
        return code
    planted: int = defect.plant(code)
    _count(fired, planted != code)
    return planted


def _lines(defect: Defect, fired: Path, line: str) -> list[str]:
    given = parsed(line)
    if defect.kind != "logs" or not isinstance(given, dict):
        return [line]
    shown = list(defect.plant(given))
    _count(fired, shown != [given])
    return [json.dumps(value, ensure_ascii=False) + "\n" for value in shown]


def _count(fired: Path, has_fired: bool) -> None:  # noqa: FBT001 - whether it has
    if has_fired:
        with fired.open("ab") as file:
            file.write(b".")


if __name__ == "__main__":
    sys.exit(run(DEFECTS[sys.argv[1]], Path(sys.argv[2]), sys.argv[3:]))

"""A step of an install: what whoever watches is told, and what is left of it."""

import sys
from pathlib import Path

import pytest

from reference_server.provision import source, step
from reference_server.provision.errors import ProvisionError

NINJA = "\n".join(f"[{done}/40] Building C object {done}.o" for done in range(1, 41))
MAKE = "\n".join(f"[{percent:3}%] Building C object x.o" for percent in range(0, 101, 5))


def run(folder: Path, code: str) -> Path:
    log = step.new_log("compiling", folder)
    step.run("compiling", [sys.executable, "-c", code], log, percent=source.percent_of)
    return log


@pytest.mark.req("ORCH-3207")
@pytest.mark.parametrize("printed", [NINJA, MAKE], ids=["ninja", "make"])
def test_how_far_it_is_goes_to_standard_error_in_tenths(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], printed: str
) -> None:
    log = run(tmp_path, f"print({printed!r})")

    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("compiling: ")]
    percents = [int(line.split()[1]) for line in told]
    assert [10, 20, 30, 40, 50, 60, 70, 80, 90, 100] == percents[-10:]
    assert printed in log.read_text()
    assert log.read_text().startswith("$ ")


@pytest.mark.req("ORCH-3207")
def test_one_that_fails_names_its_log_and_shows_its_end(tmp_path: Path) -> None:
    with pytest.raises(ProvisionError) as caught:
        run(tmp_path, "print('begun'); raise SystemExit('no space')")
    text = str(caught.value)
    assert text.startswith(f"compiling failed with exit code 1; the whole log is {tmp_path}/compiling.log")
    assert text.endswith("begun\nno space")


@pytest.mark.req("ORCH-3207")
def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProvisionError, match="compiling: /none/cmake cannot be started: No such file"):
        step.run("compiling", ["/none/cmake"], step.new_log("compiling", tmp_path))

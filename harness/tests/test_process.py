"""Processes are started, waited for and stopped, whatever they do."""

import sys
import time
from pathlib import Path

import pytest

from harness.process import DidNotStartError, Process
from harness.tests.test_cli import is_running

READY = "print('ready', flush=True)\n"
WAIT = "import signal; signal.pause()\n"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
PARENT = "import subprocess, sys; c = subprocess.Popen(['sleep', '60']); print(c.pid, flush=True)\n"


def started(code: str, folder: Path) -> Process:
    process = Process([sys.executable, "-c", code], folder=folder)
    process.wait_ready(lambda: process.stdout.read_text() != "", deadline_ms=10_000)
    return process


def test_a_process_that_is_told_to_stop_ends_with_its_own_code(tmp_path: Path) -> None:
    code = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
    process = started(code + READY + "while True: signal.pause()", tmp_path)

    assert 7 == process.stop(deadline_ms=10_000)


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    process = started(DEAF + READY + "while True: signal.pause()", tmp_path)

    assert -9 == process.stop(deadline_ms=100)
    assert not is_running(process.pid)


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_what_a_process_has_started_goes_with_it(tmp_path: Path, how: str) -> None:
    process = started(PARENT + WAIT, tmp_path)
    grandchild = int(process.stdout.read_text())

    process.kill() if how == "kill" else process.stop(deadline_ms=10_000)

    assert not is_running(process.pid)
    until = (
        time.monotonic() + 5
    )  # the kernel ends it in its own time: the signal was sent, and nobody here waits for it
    while is_running(grandchild) and time.monotonic() < until:
        time.sleep(0.01)
    assert not is_running(grandchild)


@pytest.mark.req("OC-TEST-7008")
@pytest.mark.parametrize(
    ("code", "says"),
    [
        pytest.param("import sys; print('no model', file=sys.stderr); sys.exit(4)", "exit code 4", id="ends"),
        pytest.param(
            "import sys; print('no model', file=sys.stderr, flush=True)\n" + WAIT, "not ready", id="never-ready"
        ),
    ],
)
def test_a_process_that_does_not_start_is_explained_and_gone(tmp_path: Path, code: str, says: str) -> None:
    process = Process([sys.executable, "-c", code], folder=tmp_path)

    def is_ready() -> bool:
        return False

    with pytest.raises(DidNotStartError, match=says) as caught:
        process.wait_ready(is_ready, deadline_ms=1_500)

    assert "| no model" in str(caught.value)
    assert not is_running(process.pid)


def test_a_process_whose_wait_is_broken_off_is_gone(tmp_path: Path) -> None:
    """By a Ctrl-C, or by the limit of the test that waits."""
    process = Process([sys.executable, "-c", WAIT], folder=tmp_path)

    def broken_off() -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        process.wait_ready(broken_off, deadline_ms=10_000)
    assert not is_running(process.pid)

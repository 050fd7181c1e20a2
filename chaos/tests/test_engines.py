"""The end of an engine is waited for, not looked for: it may take a while, and none may be taken for one."""

import subprocess
import threading

import pytest

from chaos.engines import is_dead_soon


@pytest.mark.req("OC-TEST-7050")
def test_an_end_that_comes_late_is_seen_and_one_that_does_not_come_is_not() -> None:
    with subprocess.Popen(["/bin/sleep", "600"]) as process:
        assert not is_dead_soon(process.pid, seconds=0.05)

        threading.Timer(0.1, process.kill).start()
        assert is_dead_soon(process.pid)

    assert is_dead_soon(process.pid), "it has been waited for: nothing of it is left"

"""Engines, as a run sees them: what one works at, and that its end is waited for, not looked for."""

import json
import subprocess
import threading
from pathlib import Path

import pytest

from chaos.engines import Engines, is_dead_soon
from chaos.workloads.workload import Pool


@pytest.mark.req("OC-TEST-7050")
def test_an_end_that_comes_late_is_seen_and_one_that_does_not_come_is_not() -> None:
    with subprocess.Popen(["/bin/sleep", "600"]) as process:
        assert not is_dead_soon(process.pid, seconds=0.05)

        threading.Timer(0.1, process.kill).start()
        assert is_dead_soon(process.pid)

    assert is_dead_soon(process.pid), "it has been waited for: nothing of it is left"


def test_an_engine_is_at_work_at_what_it_was_asked_and_has_not_ended(tmp_path: Path) -> None:
    engines = Engines(Pool(), folder=tmp_path)
    told = [(7, "asked", "a"), (7, "asked", "b"), (7, "ending", "a"), (7, "asked", None), (8, "asked", "c")]
    told += [(7, "asked", "d"), (7, "let-go", "d")]
    lines = [json.dumps({"pid": pid, "event": event, "task": task}) for pid, event, task in told]
    engines.witness.write_text("".join(f"{line}\n" for line in lines))

    assert ["b"] == engines.at_work(7)

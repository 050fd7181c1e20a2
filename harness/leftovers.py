"""Ends what an interrupted run has left behind: processes that carry the run's own mark in their environment.

A worker that is killed in the middle of its clean-up cannot stop the servers that it has started; the run that started
the worker can, because a mark is inherited and nobody else has it.
"""

import os
import signal
from contextlib import suppress
from pathlib import Path

MARK_ENV = "LLAMA_ORCH_RUN"


def end(mark: str) -> list[int]:
    """SIGKILL to every process of the run with this mark, but this one.

    Returns:
        The process ids.
    """
    wanted = f"{MARK_ENV}={mark}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):  # gone meanwhile, or of another user
            if entry.name.isdigit() and wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    for pid in found:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return found

"""Engines that a killed server left behind: found by a mark in their environment, and ended.

An engine dies with the server's process by the kernel's hand (`engine_process`), but what an engine started itself
does not. Whatever an engine of ours starts inherits the mark, which names the server's process by id and start time;
a marked process whose server is gone holds memory, GPUs and ports for nobody. It is not adopted: what it had in its
slots is unknown.

Source: OC-POOL-3041, OC-POOL-3042; proc(5), pidfd_open(2).
"""

import logging
import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path

MARK = "LLAMA_ORCH_SERVER"
GONE_S = 5.0  # after SIGKILL: until its memory is free again

log = logging.getLogger(__name__)


def mark() -> dict[str, str]:
    """The environment that an engine of this process is started with."""
    return {MARK: f"{os.getpid()}:{_started(os.getpid())}"}


def end_orphans(proc: Path = Path("/proc")) -> list[int]:
    """End every process that was left behind by a server of ours that is gone. Blocks until they are.

    Returns:
        Their process ids.
    """
    ended = []
    for pid in _candidates(proc):
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            if not _is_orphan(proc / str(pid)):  # looked at again: the id is now held fast
                continue
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            select.select([handle], [], [], GONE_S)
        finally:
            os.close(handle)
        log.warning("ended the engine process %s, left behind by a server that is gone", pid)
        ended.append(pid)
    return ended


def _candidates(proc: Path) -> Iterator[int]:
    for folder in proc.iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid() and _is_orphan(folder):
            yield int(folder.name)


def _is_orphan(folder: Path) -> bool:
    server = _server_of(folder)
    return server is not None and is_gone(*server, folder.parent)


def is_gone(pid: int, started: str, proc: Path = Path("/proc")) -> bool:
    """Whether the server of this process id and start time has ended."""
    return _started(pid, proc) != started


def _server_of(folder: Path) -> tuple[int, str] | None:
    """Id and start time of the server a process was started for; None: for none, or the process is another user's."""
    try:
        variables = (folder / "environ").read_bytes().split(b"\0")
    except OSError:
        return None
    value = next((v.partition(b"=")[2].decode() for v in variables if v.startswith(f"{MARK}=".encode())), "")
    pid, _, started = value.partition(":")
    return (int(pid), started) if pid.isdigit() and started else None


def _started(pid: int, proc: Path = Path("/proc")) -> str:
    """When a process was started, in ticks since the boot; empty when there is none, or it is a zombie."""
    try:
        fields = (proc / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]

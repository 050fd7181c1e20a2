"""What a run leaves behind: processes that carry the run's own mark in their environment.

A mark is inherited and nobody else has it. A worker that is killed in the middle of its clean-up cannot stop the
servers that it has started; the run that started the worker can. And a process that still runs when the run has come to
its end by itself is a leak: it is ended, named, and fails the run. Runs inside runs add their marks to those around
them.

Source: OC-TEST-7046, OC-TEST-7047.
"""

import os
import select
import shlex
import signal
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MARK_ENV = "LLAMA_ORCH_RUN"
TEST_ENV = "PYTEST_CURRENT_TEST"  # pytest's own: which test ran when a process was started

LEAVE_S = 5.0  # for what is about to end: an engine whose server has just gone, a browser's helper
KILL_S = 5.0  # the kernel takes a killed process away at once; longer means that it hangs in a device
EXEC_S = 1.0  # from a program to its arguments: its loader is read from the disk meanwhile
COMMAND_MAX = 300  # characters of a command line that are shown


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """A process that outlived its run.

    Attributes:
        test: the test that ran when it was started, and its phase; empty where none did.
    """

    pid: int
    command: str
    test: str = ""

    @property
    def row(self) -> dict[str, Any]:
        """Of a report."""
        return {"pid": self.pid, "command": self.command}

    def __str__(self) -> str:
        return f"{self.pid} {self.command}" + (f", started in {self.test}" if self.test else "")


def new_mark() -> str:
    """A mark that nobody else has."""
    return uuid.uuid4().hex


def environment(mark: str) -> dict[str, str]:
    """For what a run starts: this mark, beside those of the runs around it."""
    return {MARK_ENV: f"{os.environ.get(MARK_ENV, '')} {mark}".strip()}


@contextmanager
def marking() -> Iterator[str]:
    """What this process starts meanwhile carries the mark that it gives."""
    mark, before = new_mark(), os.environ.get(MARK_ENV)
    os.environ.update(environment(mark))
    try:
        yield mark
    finally:
        os.environ.pop(MARK_ENV)
        if before is not None:
            os.environ[MARK_ENV] = before


@contextmanager
def watched() -> Iterator[list[LeftBehind]]:
    """A run in this process: once it has come to its end, the list holds what it left behind.

    An exception, a Ctrl-C among them, is no such end: what is there is ended, and nobody is blamed.
    """
    left: list[LeftBehind] = []
    with marking() as mark:
        try:
            yield left
            left += end(mark, leave_s=LEAVE_S)
        except BaseException:
            end(mark)
            raise


def end(mark: str, *, leave_s: float = 0.0) -> list[LeftBehind]:
    """SIGKILL to every process with this mark that still runs after the time it has to leave.

    Returns:
        Those processes.
    """
    until = time.monotonic() + leave_s
    ended: dict[int, LeftBehind] = {}
    while True:
        with _held(mark) as found:
            running = _running(found, until)
            if not found or (running and all(one.pid in ended for one in running)):  # the latter hang in a device
                return list(ended.values())
            ended.update((one.pid, one.told) for one in running)
            for one in running:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(one.fd, signal.SIGKILL)
            _running(running, time.monotonic() + KILL_S)


@dataclass(frozen=True, slots=True)
class _Held:
    """A process, held by a descriptor so that its id cannot become another one's meanwhile."""

    pid: int
    fd: int
    told: LeftBehind


@contextmanager
def _held(mark: str) -> Iterator[list[_Held]]:
    """Every process with this mark that has not ended."""
    with ExitStack() as stack:
        found = []
        for entry in Path("/proc").iterdir():
            with suppress(OSError), ExitStack() as own:  # gone meanwhile, or of another user
                if not entry.name.isdecimal():
                    continue
                fd = os.pidfd_open(int(entry.name))  # held first and looked at then
                own.callback(os.close, fd)
                if (told := _told(entry, mark)) is not None:
                    stack.push(own.pop_all())
                    found.append(_Held(told.pid, fd, told))
        yield found


def _told(entry: Path, mark: str) -> LeftBehind | None:
    until = time.monotonic() + EXEC_S
    while _is_in_exec(entry) and time.monotonic() < until:
        time.sleep(0.001)
    pairs = (line.partition(b"=") for line in (entry / "environ").read_bytes().split(b"\0"))
    environ = {name.decode("utf-8", "replace"): value.decode("utf-8", "replace") for name, _, value in pairs}
    if mark not in environ.get(MARK_ENV, "").split():
        return None
    words = (entry / "cmdline").read_bytes().decode("utf-8", "replace").removesuffix("\0").split("\0")
    command = shlex.join(words)
    shown = command if len(command) <= COMMAND_MAX else command[:COMMAND_MAX] + "…"
    return LeftBehind(int(entry.name), shown, environ.get(TEST_ENV, ""))


def _is_in_exec(entry: Path) -> bool:
    """The program is there, and the kernel shows neither its arguments nor its environment yet.

    Whoever started it has been told already that it runs. A kernel thread and a zombie have no program, and no program
    is without arguments.
    """
    return not (entry / "cmdline").read_bytes() and bool((entry / "exe").readlink())


def _running(held: Sequence[_Held], until: float) -> list[_Held]:
    """Those that have not ended when the time has come."""
    return [one for one in held if not _ends(one, until)]


def _ends(one: _Held, until: float) -> bool:
    poll = select.poll()
    poll.register(one.fd, select.POLLIN)  # readable once the process has ended
    return bool(poll.poll(max(0.0, until - time.monotonic()) * 1000))

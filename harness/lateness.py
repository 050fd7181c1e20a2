"""How late the harness itself was, so that no server is blamed for it.

Two clocks tell it. A thread asks to be woken every few milliseconds, and sees how much later it is. And the kernel
keeps account of how long threads that could have run had to wait for a processor: ours, and those of the processes that
we have started, for they have the machine that we gave them. What is not ours has to keep up by itself.

Source: OC-TEST-7026, OC-TEST-7029; the kernel's sched-stats (`/proc/PID/task/TID/schedstat`: ns run, ns waited, runs).
"""

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path

from harness.history import now_ms
from harness.outcome import HangError, LateError, TooLateError

TICK_MS = 5.0
NOISE_MS = 5.0  # a wake-up that is late by less than this is an ordinary one

Waited = Mapping[str, float]
"""By thread: how long it has waited for a processor so far, in milliseconds."""


class Ticker:
    """Adds up how late this process woke up, in a daemon thread.

    Attributes:
        late_ms: since it began; only grows.
    """

    def __init__(self, pause: Callable[[float], object] | None = None) -> None:
        self.late_ms = 0.0
        self._pause = pause or threading.Event().wait
        threading.Thread(target=self._run, name="lateness", daemon=True).start()

    def _run(self) -> None:
        while True:
            before_ms = now_ms()
            self._pause(TICK_MS / 1000)
            late_ms = now_ms() - before_ms - TICK_MS
            self.late_ms += late_ms if late_ms > NOISE_MS else 0.0


@cache
def ticker() -> Ticker:
    """This process's one, from the first question on."""
    return Ticker()


def waited(pid: int, proc: Path = Path("/proc")) -> Waited:
    """How long each thread of a process has waited for a processor; nothing where the kernel does not tell."""
    found = {}
    try:
        for entry in os.scandir(proc / str(pid) / "task"):
            try:
                found[entry.name] = int(Path(entry.path, "schedstat").read_text().split()[1]) / 1e6
            except (OSError, IndexError, ValueError):
                continue  # it has ended, or the kernel keeps no account
    except OSError:
        return {}
    return found


def grown(before: Waited, after: Waited) -> float:
    """By how much the thread that waited most has waited: threads wait beside each other, not one after the other."""
    return max((after[name] - before.get(name, 0.0) for name in after), default=0.0)


class Stopwatch:
    """Takes one time, and how much of it is not the server's.

    Args:
        pids: what the harness has started and what this time depends on: the server, its engine.
    """

    def __init__(self, pids: Iterable[int] = ()) -> None:
        self._pids = tuple(dict.fromkeys(pids))
        self._own = os.getpid()
        self._ticks_ms = ticker().late_ms
        self._waited = {pid: waited(pid) for pid in (self._own, *self._pids)}
        self._began_ms = now_ms()

    @property
    def began_ms(self) -> float:
        """When it was made, on the clock of histories."""
        return self._began_ms

    @property
    def elapsed_ms(self) -> float:
        """Since it was made."""
        return now_ms() - self._began_ms

    def late_ms(self) -> float:
        """How much of that the harness and its machine have taken."""
        ours = max(ticker().late_ms - self._ticks_ms, self._grown(self._own))
        return min(ours + sum(self._grown(pid) for pid in self._pids), self.elapsed_ms)

    def is_over(self, within_ms: float) -> bool:
        """So much time is over even without what the harness was late by."""
        return self.elapsed_ms > within_ms and self.elapsed_ms - self.late_ms() > within_ms

    def hang(self, what: str, *, within_ms: float) -> HangError:
        """For something that never came."""
        took = f"waited {self.elapsed_ms:.0f} ms of {within_ms:.0f} ms for {what}"
        return HangError(f"{took}; the harness was late by {self.late_ms():.0f} ms")

    def _grown(self, pid: int) -> float:
        return grown(self._waited[pid], waited(pid))


def require_within(elapsed_ms: float, within_ms: float, *, late_ms: float, what: str) -> None:
    """Judge a time that was taken.

    Args:
        late_ms: how much of it may be the harness's own.

    Raises:
        LateError: it is too long, and without the harness's share it would not be.
        TooLateError: it is too long whatever is taken off.
    """
    if elapsed_ms <= within_ms:
        return
    text = f"{what} took {elapsed_ms:.0f} ms of {within_ms:.0f} ms; the harness was late by {late_ms:.0f} ms"
    raise LateError(text) if elapsed_ms - late_ms <= within_ms else TooLateError(text)

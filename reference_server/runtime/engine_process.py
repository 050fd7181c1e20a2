"""One engine process that is ours: started without a shell, heard, and never outliving us.

Source: ORCH-3001, ORCH-3013, OC-POOL-3003.
"""

import asyncio
import ctypes
import os
import signal
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from reference_server.domain.faults import Fault, kind_of

LINES_KEPT = 200  # of its output, for `last_error`
LINE_BYTES_MAX = 4096
LAST_LINES_S = 0.2  # for what it has said before its end to be read; less than the keeper waits for its last words
PR_SET_PDEATHSIG = 1  # prctl(2): the kernel's signal to a child whose parent has died

_libc = ctypes.CDLL(None, use_errno=True)


def _before_exec(cpus: frozenset[int]) -> None:
    """Runs in the child: it dies with its parent, and all its threads and memory come from these CPUs, if any."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if cpus:
        with suppress(OSError):  # they have gone meanwhile: a hint keeps no engine from its start
            os.sched_setaffinity(0, cpus)


class EngineProcess:
    """A child process in a process group of its own.

    Attributes:
        lines: the last lines of its output, newest last.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.lines: deque[str] = deque(maxlen=LINES_KEPT)
        self._oom_kills = oom_kills()
        self._reading = asyncio.ensure_future(self._read())

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        cpus: frozenset[int] = frozenset(),
    ) -> "EngineProcess":
        """Start a command.

        Args:
            environment: in addition to ours.
            cpus: that it runs on; empty = on ours.

        Raises:
            OSError: there is no such program, or it may not be run.
        """
        process = await asyncio.create_subprocess_exec(
            *command,
            env={**os.environ, **(environment or {})},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=partial(_before_exec, cpus),
            limit=LINE_BYTES_MAX,
        )
        return cls(process)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.returncode is None

    async def exited(self) -> Fault:
        """Wait for its end, and say how it came: what its output tells, status or signal, and its last line."""
        code = await self._process.wait()
        # Not awaited itself: whoever stops waiting must not end the reading. And not for ever: what the engine has
        # started may outlive it, and holds its output open.
        await asyncio.wait({self._reading}, timeout=LAST_LINES_S)
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        last = self.lines[-1] if self.lines else "no output"
        kind = kind_of(self.lines) or (
            "host-oom" if oom_kills() > self._oom_kills and code == -signal.SIGKILL else "crashed"
        )
        return Fault(kind, f"the engine ended with {how}: {last}")

    async def stop(self, *, grace_s: float = 3.0) -> None:
        """Ask it to end, and after the grace make it. Idempotent."""
        if self.is_running:
            self._signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(grace_s):
                    await self._process.wait()
            except TimeoutError:
                self._signal(signal.SIGKILL)
                await self._process.wait()
        self._signal(signal.SIGKILL)  # whatever it left in its group
        self._reading.cancel()

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return

    async def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - PIPE
        while chunk := await self._process.stdout.read(LINE_BYTES_MAX):
            self.lines.extend(line for line in chunk.decode(errors="replace").splitlines() if line.strip())


def narrowed(near: frozenset[int]) -> frozenset[int]:
    """Those of these CPUs that are ours to use; empty where that leaves none, or all that we have (ORCH-3013)."""
    ours = frozenset(os.sched_getaffinity(0))
    return near & ours if not ours <= near else frozenset()


def oom_kills() -> int:
    """How many processes the kernel has killed for want of memory since it booted (proc(5), vmstat)."""
    try:
        lines = Path("/proc/vmstat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)

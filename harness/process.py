"""A process under the harness's control: started, logged, waited for, stopped; a server or an engine."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

POLL_S = 0.02
KILL_S = 5.0  # the kernel takes a killed process away at once; longer means that it hangs in a device
LOG_LINES_SHOWN = 15


class DidNotStartError(Exception):
    """A process ended, or was not ready in time; the text has the command and the end of its log."""


class Process:
    """One child in a process group of its own.

    Args:
        stderr_to: a descriptor for what it writes to stderr; None = the file.

    Attributes:
        stdout, stderr: files with what it wrote.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        folder: Path,
        env: Mapping[str, str] | None = None,
        stderr_to: int | None = None,
    ) -> None:
        self.command = tuple(command)
        folder.mkdir(parents=True, exist_ok=True)
        self.stdout, self.stderr = folder / "stdout.log", folder / "stderr.log"
        with self.stdout.open("wb") as out, self.stderr.open("wb") as err:
            self._child = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err if stderr_to is None else stderr_to,
                env={**os.environ, **(env or {})},
                start_new_session=True,  # so that `kill` also reaches what it has started
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative when a signal ended it."""
        return self._child.poll()

    def wait_ready(self, is_ready: Callable[[], bool], *, deadline_ms: float) -> None:
        """Wait until `is_ready` says so.

        Raises:
            DidNotStartError: it ended before, or the deadline passed; it is gone then.
        """
        try:
            self._wait_ready(is_ready, deadline_ms=deadline_ms)
        except BaseException:  # a Ctrl-C and the limit of the test that waits, too: nobody else would stop it
            self.kill()
            raise

    def _wait_ready(self, is_ready: Callable[[], bool], *, deadline_ms: float) -> None:
        until = time.monotonic() + deadline_ms / 1000
        while not is_ready():
            if self.exit_code is not None:
                raise DidNotStartError(self._explain(f"ended with exit code {self.exit_code} before it was ready"))
            if time.monotonic() > until:
                raise DidNotStartError(self._explain(f"was not ready within {deadline_ms / 1000:.0f} s"))
            time.sleep(POLL_S)

    def stop(self, *, deadline_ms: float) -> int:
        """SIGTERM, and SIGKILL after the deadline.

        Returns:
            Its exit code; -9 when it had to be killed.
        """
        self._signal(signal.SIGTERM)
        return self.wait(deadline_ms=deadline_ms)

    def terminate(self) -> None:
        """SIGTERM, and do not wait."""
        self._signal(signal.SIGTERM)

    def wait(self, *, deadline_ms: float) -> int:
        """Wait for its end; SIGKILL after the deadline."""
        try:
            code = self._child.wait(timeout=deadline_ms / 1000)
        except subprocess.TimeoutExpired:
            self.kill()
            return -signal.SIGKILL
        self._kill_group()
        return code

    def kill(self) -> None:
        """SIGKILL to it and to all that it has started."""
        self._kill_group()
        self._child.wait(timeout=KILL_S)

    def _kill_group(self) -> None:
        """What a process that has ended left behind in its group goes too."""
        try:
            os.killpg(self._child.pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    def _signal(self, number: signal.Signals) -> None:
        if self.exit_code is None:
            self._child.send_signal(number)

    def _explain(self, what: str) -> str:
        lines = self.stderr.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES_SHOWN:]
        log = "\n".join(f"  | {line}" for line in lines) or "  | (it wrote nothing to stderr)"
        return f"{' '.join(self.command)}\n  {what}\n{log}"

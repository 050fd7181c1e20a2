"""The server under test: started on a state folder that outlives it, killed, and started again.

Its log goes through a pipe, so that a limit on the files that it may write (the fault `full-disk`) is one on its
journal and not on its log.
"""

import json
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chaos.record import Recorder
from harness.process import DidNotStartError, Process
from harness.target import READY_MS, STOP_MS, TOKEN_ENV, CannotRunError, Target, ready_line

LAST_LINES_S = 1.0  # for the last lines of a server that has ended to be copied
COPY_BYTES = 64 * 1024
UP_MS = 90_000  # a start on a machine that is busy with other things


class ChaosServer:
    """One server over its lives.

    Args:
        command: `{config}`, `{state}` and `{port}` in it are replaced; without `{port}` it chooses its own.
        settings: the content of its configuration file.

    Attributes:
        log: everything that all its lives wrote to stderr.
        is_up: set while it answers; cleared while it is dead.
    """

    def __init__(
        self, command: Sequence[str], settings: Mapping[str, Any], *, folder: Path, recorder: Recorder
    ) -> None:
        self.is_up = threading.Event()
        self.token = secrets.token_urlsafe(24)
        self.log = folder / "server.log"
        self.log.touch()  # it is read where a server has ended before its first line was copied
        self._command = tuple(command)
        self._folder = folder / "server"
        self._recorder = recorder
        self._process: Process | None = None
        self._url = ""
        self._number = 0
        self._copying: threading.Thread | None = None
        self._config = folder / "config.yaml"
        self._config.write_text(json.dumps(settings, indent=2), encoding="utf-8")  # JSON is YAML

    @property
    def url(self) -> str:
        """Where the present life listens."""
        return self._url

    @property
    def pid(self) -> int:
        """Of the present life."""
        assert self._process is not None, "started before it is asked"  # noqa: S101
        return self._process.pid

    def start(self) -> None:
        """A new life.

        Raises:
            CannotRunError: it did not come up.
        """
        self._number += 1
        read_end, write_end = os.pipe()
        try:
            process = Process(
                self._line(),
                folder=self._folder / f"life-{self._number}",
                env={TOKEN_ENV: self.token},
                stderr_to=write_end,
            )
        finally:
            os.close(write_end)
        self._copying = threading.Thread(target=_copy, args=(read_end, self.log), daemon=True)
        self._copying.start()
        self._process = process
        try:
            process.wait_ready(lambda: ready_line(process) is not None, deadline_ms=READY_MS)
        except DidNotStartError as error:
            self._copying.join(LAST_LINES_S)
            tail = "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])
            raise CannotRunError(f"the server did not start: {error}\n{tail}") from None
        self._url = str((ready_line(process) or {})["url"]).rstrip("/")
        self._recorder.add("life", event="up", at_ms=self._recorder.now(), number=self._number, pid=process.pid)
        self.is_up.set()

    def target(self) -> Target:
        """The present life, for the harness."""
        return Target(url=self._url, token=self.token, process=self._process)

    def kill(self) -> int | None:
        """SIGKILL to the server alone: its engines are its own affair.

        Returns:
            How it ended: -9 when the signal did it.
        """
        assert self._process is not None  # noqa: S101
        self.is_up.clear()
        os.kill(self._process.pid, signal.SIGKILL)
        code = self._wait_dead()
        self._recorder.add("life", event="killed", at_ms=self._recorder.now(), number=self._number)
        return code

    def stop(self) -> int | None:
        """SIGTERM, and SIGKILL when it does not end in time.

        Returns:
            Its exit code; None when it never ran.
        """
        self.is_up.clear()
        if self._process is None:
            return None
        code = self._process.stop(deadline_ms=STOP_MS)
        self._recorder.add("life", event="ended", at_ms=self._recorder.now(), number=self._number, code=code)
        if self._copying is not None:
            self._copying.join(timeout=STOP_MS / 1000)
        return code

    def abandon(self) -> None:
        """The run is broken off, a Ctrl-C may have done it: nobody waits any more for a server that is down."""
        self.is_up.set()

    def wait_up(self, deadline_ms: float = UP_MS) -> bool:
        """Wait until it lives (again)."""
        return self.is_up.wait(deadline_ms / 1000)

    def _wait_dead(self) -> int | None:
        assert self._process is not None  # noqa: S101
        until = time.monotonic() + STOP_MS / 1000
        while (code := self._process.exit_code) is None and time.monotonic() < until:
            time.sleep(0.002)
        return code

    def _line(self) -> list[str]:
        state = self._folder / "state"
        named = {"{config}": str(self._config), "{state}": str(state)}
        if any("{port}" in part for part in self._command):
            named["{port}"] = str(_free_port())
        line = list(self._command)
        for name, value in named.items():
            line = [part.replace(name, value) for part in line]
        return line


def _copy(read_end: int, path: Path) -> None:
    """Whatever is written to the pipe goes to the end of the file, until nobody can write any more."""
    with path.open("ab", buffering=0) as out, os.fdopen(read_end, "rb", buffering=0) as source:
        while data := source.read(COPY_BYTES):
            out.write(data)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

"""An install under way, which whoever wants it may call off from another thread.

Source: ORCH-3203, ORCH-3207.
"""

import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from reference_server.provision.errors import StoppedError


class Work:
    """One install.

    Attributes:
        env: variables for every program that it starts, beside those of this process.
    """

    def __init__(self, env: Mapping[str, str] | None = None) -> None:
        self.env = dict(env or {})
        self._lock = threading.Lock()
        self._is_off = False
        self._group: int | None = None

    def call_off(self) -> None:
        """End it: what runs is killed with all that it has started, and nothing else is begun."""
        with self._lock:
            self._is_off = True
            if self._group is not None:
                with suppress(ProcessLookupError):
                    os.killpg(self._group, signal.SIGKILL)

    def require_wanted(self) -> None:
        """Raises `StoppedError` once it was called off."""
        if self._is_off:
            raise StoppedError("called off; the next try goes on from here")

    @contextmanager
    def running(self, group: int) -> Iterator[None]:
        """A program runs, in a process group of its own, for the length of the block. Raises `StoppedError`."""
        with self._lock:
            self._group = group
            is_late = self._is_off
        try:
            if is_late:
                self.require_wanted()
            yield
        finally:
            with self._lock:
                self._group = None
        self.require_wanted()


@dataclass(frozen=True, slots=True)
class Site:
    """Where an engine is made.

    Attributes:
        staging: the folder that it is made in, and that becomes `final`.
        log_file: what the steps print.
    """

    staging: Path
    final: Path
    log_file: Path
    work: Work

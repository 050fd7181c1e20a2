"""Runs the features as a process of their own, and tells listeners what happens.

A process of its own: a hang, a crash or a defect in a step cannot take the report with it, and Ctrl-C ends the server
under test in one place, the run's own clean-up.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol, TextIO

EXIT_PASS, EXIT_FAIL, EXIT_USAGE, EXIT_COULD_NOT_RUN = 0, 1, 2, 3

EXIT_OF_PYTEST = {
    0: EXIT_PASS,
    1: EXIT_FAIL,
    2: EXIT_COULD_NOT_RUN,  # interrupted
    3: EXIT_COULD_NOT_RUN,  # an internal error, or no server to judge
    4: EXIT_USAGE,
    5: EXIT_USAGE,  # nothing was selected
    6: EXIT_FAIL,  # more warnings than allowed
}

CLEAN_UP_S = 30.0  # servers and engines of an interrupted run stop within their drain times

Event = dict[str, Any]


class Listener(Protocol):
    """Shows or stores a run."""

    def take(self, event: Event) -> None:
        """Take in one event; see `harness.report.events` for their shapes."""

    def close(self, exit_code: int, log: str) -> None:
        """The run is over.

        Args:
            log: what pytest itself had to say.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What to run, against what.

    Attributes:
        url: None = start the reference server.
        token_env: the variable that holds the token of `url`.
        requirements: only scenarios that prove one of these ids.
        keyword: pytest's `-k`.
    """

    url: str | None = None
    token_env: str | None = None
    command: str | None = None
    engine_url: str | None = None
    requirements: tuple[str, ...] = ()
    keyword: str | None = None
    junit: Path | None = None

    def options(self) -> list[str]:
        """As pytest takes them."""
        named = {
            "--server-url": self.url,
            "--token-env": self.token_env,
            "--server-cmd": self.command,
            "--engine-url": self.engine_url,
            "-k": self.keyword,
            "--junit-xml": str(self.junit.absolute()) if self.junit else None,
        }
        options = [part for name, value in named.items() if value is not None for part in (name, value)]
        return options + [part for identifier in self.requirements for part in ("--req", identifier)]


def run(selection: Selection, listeners: Sequence[Listener]) -> int:
    """Run the features.

    Returns:
        The exit code: 0 all held, 1 something did not, 2 wrong usage, 3 could not run or was interrupted.
    """
    read_end, write_end = os.pipe()
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(
            [*command(selection), "--events-fd", str(write_end)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=(write_end,),
            start_new_session=True,  # a Ctrl-C reaches us alone, and is passed on once
        )
        os.close(write_end)
        with _interrupted_by_sigterm(), os.fdopen(read_end, encoding="utf-8") as lines:
            was_interrupted = _follow(child, lines, listeners)
            code = EXIT_COULD_NOT_RUN if was_interrupted else EXIT_OF_PYTEST.get(child.wait(), EXIT_COULD_NOT_RUN)
        log.seek(0)
        text = log.read().decode("utf-8", "replace")
    for listener in listeners:
        listener.close(code, text)
    return code


def command(selection: Selection) -> list[str]:
    """The command line of the run's own process."""
    features = Path(str(files("features")))
    config = Path(str(files("harness").joinpath("conform.ini")))
    where = ["-c", str(config), "--rootdir", str(features.parent), str(features / "test_features.py")]
    return [sys.executable, "-m", "pytest", *where, *selection.options()]


def _follow(child: subprocess.Popen[bytes], lines: TextIO, listeners: Sequence[Listener]) -> bool:
    """Tell the listeners everything to the end of the run.

    Returns:
        Whether the run was interrupted; it has cleaned up after itself then, or was made an end of.
    """
    give_up = threading.Timer(CLEAN_UP_S, child.kill)
    was_interrupted = False
    while True:
        try:
            for line in lines:
                for listener in listeners:
                    listener.take(json.loads(line))
            child.wait()
        except KeyboardInterrupt:
            if was_interrupted:
                child.kill()
            else:
                was_interrupted = True
                give_up.start()
                child.send_signal(signal.SIGINT)
        else:
            give_up.cancel()
            return was_interrupted


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """A SIGTERM ends a run the way a Ctrl-C does."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

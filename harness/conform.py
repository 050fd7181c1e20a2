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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol, TextIO

from harness import leftovers
from harness.history import now_ms
from harness.outcome import Outcome
from harness.report.result import Result
from harness.stand_in import is_real_required

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
INTERRUPTED = 2

# Plugins that somebody has installed beside us run in no conformance run, whose own are in conform.ini.
ALONE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}

CLEAN_UP_S = 30.0  # servers and engines of an interrupted run stop within their drain times

Event = dict[str, Any]


class Taker(Protocol):
    """Takes a run in."""

    def take(self, event: Event) -> None:
        """Take in one event; see `harness.report.events` for their shapes."""


class Listener(Taker, Protocol):
    """Shows or stores a run."""

    def close(self, exit_code: int, log: str) -> None:
        """The run is over.

        Args:
            log: what pytest itself had to say.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What to run, against what.

    Attributes:
        url: None = start the reference server, or what `launch` says.
        token_env: the variable that holds the token of `url`.
        requirements, profiles, checks, tags: only what has one of these, of each kind that is given.
        keyword: pytest's `-k`.
        disturb: run the checks that fill slots or queues, too; None = where we have started the server.
        jobs: processes at a time; None = as many as there are cores, and one for a server that was given by its URL
            or for a real engine, which all checks share.
        is_dry: only say what would run.
        planted: defects to run the checks with, each alone; see `harness.saboteur`.
        all_checks: with every defect, not only with those that break what they prove.
        by_plan: only with the checks that are known to find it.
        defects_from: a Python module with further defects.
    """

    url: str | None = None
    token_env: str | None = None
    launch: str | None = None
    engine_url: str | None = None
    requirements: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    keyword: str | None = None
    junit: Path | None = None
    disturb: bool | None = None
    jobs: int | None = None
    is_dry: bool = False
    planted: tuple[str, ...] = ()
    all_checks: bool = False
    by_plan: bool = False
    defects_from: str | None = None

    def options(self) -> list[str]:
        """As pytest takes them."""
        named = {
            "--server-url": self.url,
            "--token-env": self.token_env,
            "--launch": self.launch,
            "--engine-url": self.engine_url,
            "-k": self.keyword,
            "--defects-from": self.defects_from,
            "--junit-xml": str(self.junit.absolute()) if self.junit else None,
            "--numprocesses": str(self.workers) if self.workers > 1 else None,
        }
        repeated = {
            "--req": self.requirements,
            "--profile": self.profiles,
            "--check": self.checks,
            "--tag": self.tags,
            "--plant": self.planted,
        }
        options = [part for name, value in named.items() if value is not None for part in (name, value)]
        options += [part for name, values in repeated.items() for value in values for part in (name, value)]
        options += ["--collect-only"] if self.is_dry else []
        options += ["-p", "harness.saboteur.planting", "--dist", "loadgroup"] if self.planted else []
        options += ["--all-checks"] if self.all_checks else []
        options += ["--by-plan"] if self.by_plan else []
        may_disturb = self.url is None if self.disturb is None else self.disturb
        return options if may_disturb else [*options, "--no-disturb"]

    @property
    def workers(self) -> int:
        """How many processes share the checks; 1 = none beside the run's own."""
        if self.is_dry:
            return 1
        if self.jobs is not None:
            return self.jobs
        is_shared = self.url is not None or (self.launch is None and is_real_required())
        return 1 if is_shared else os.cpu_count() or 1


def run(selection: Selection, listeners: Sequence[Listener], *, gaps: Mapping[str, str] | None = None) -> int:
    """Run the features.

    Args:
        gaps: checks that are known to fail, with the reason; one that passes fails the run.

    Returns:
        The exit code: 0 all held, 1 something did not, or left a process behind, 2 wrong usage, 3 could not run, could
        not judge, or was interrupted.
    """
    result, began_ms = Result(gaps=dict(gaps or {})), now_ms()
    read_end, write_end = os.pipe()
    mark = leftovers.new_mark()
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(
            [*command(selection), "--events-fd", str(write_end)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=(write_end,),
            env={**os.environ, **ALONE, **leftovers.environment(mark)},
            start_new_session=True,  # a Ctrl-C reaches us alone, and is passed on once
        )
        os.close(write_end)
        with interrupted_by_sigterm(), os.fdopen(read_end, encoding="utf-8") as lines:
            was_interrupted = _follow(child, lines, [result, *listeners])
            code = EXIT_COULD_NOT_RUN if was_interrupted else EXIT_OF_PYTEST.get(child.wait(), EXIT_COULD_NOT_RUN)
            ended_by_itself = not was_interrupted and child.returncode in EXIT_OF_PYTEST.keys() - {INTERRUPTED}
            try:
                left = leftovers.end(mark, leave_s=leftovers.LEAVE_S if ended_by_itself else 0.0)
            except KeyboardInterrupt:
                leftovers.end(mark)
                code, ended_by_itself = EXIT_COULD_NOT_RUN, False
            if ended_by_itself and left:
                event = {"event": "left_behind", "processes": [one.row for one in left]}
                for listener in (result, *listeners):
                    listener.take(event)
        log.seek(0)
        text = log.read().decode("utf-8", "replace")
    code = exit_code(code, result)
    ended = {"event": "ended", "duration_ms": round(now_ms() - began_ms)}
    for listener in listeners:
        listener.take(ended)
        listener.close(code, text)
    return code


def exit_code(code: int, result: Result) -> int:
    """The run's exit code, from that of its process and from what was told of its checks."""
    if code not in (EXIT_PASS, EXIT_FAIL):
        return code
    if not result.finished:
        return EXIT_COULD_NOT_RUN if code == EXIT_FAIL else code  # pytest itself has come to grief
    if result.failures or result.closed_gaps or result.left_behind:
        return EXIT_FAIL
    return EXIT_COULD_NOT_RUN if result.counts[Outcome.UNKNOWN] else EXIT_PASS


def command(selection: Selection) -> list[str]:
    """The command line of the run's own process."""
    features = Path(str(files("features")))
    config = Path(str(files("harness").joinpath("conform.ini")))
    where = ["-c", str(config), "--rootdir", str(features.parent), str(features / "test_features.py")]
    return [sys.executable, "-m", "pytest", *where, *selection.options()]


def _follow(child: subprocess.Popen[bytes], lines: TextIO, listeners: Sequence[Taker]) -> bool:
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
                os.killpg(child.pid, signal.SIGTERM)  # its workers too, so that each ends its own servers
        else:
            give_up.cancel()
            return was_interrupted


@contextmanager
def interrupted_by_sigterm() -> Iterator[None]:
    """A SIGTERM ends a run the way a Ctrl-C does; a SIGINT also where a script's background job has it ignored."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""Runs one step of an install as a program of its own: with progress, a log, and an end that Ctrl-C reaches.

Source: ORCH-3207.
"""

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from reference_server.provision.console import CONSOLE, say
from reference_server.provision.errors import ProvisionError
from reference_server.provision.work import Work

LOG_LINES_SHOWN = 15  # of a step that failed

PercentOf = Callable[[str], int | None]


def silent(line: str) -> None:
    """The `PercentOf` of a program that does not tell."""
    del line


def run(
    name: str,
    command: Sequence[str],
    log_file: Path,
    *,
    percent: PercentOf = silent,
    env: Mapping[str, str] | None = None,
    work: Work | None = None,
) -> None:
    """Run one step with progress; Ctrl-C, and calling the work off, end its whole process group.

    Args:
        log_file: what it prints is added there.
        percent: how far it is, 0 … 100, by a line that it prints; None where the line does not tell.
        env: variables beside those of this process.

    Raises:
        ProvisionError: it failed, or there is no such program; the text shows the end of the log.
        StoppedError: the work was called off.
    """
    work = work or Work()
    work.require_wanted()
    with log_file.open("a") as log:
        log.write(f"$ {' '.join(command)}\n")
    with _started(name, command, {**os.environ, **work.env, **(env or {})}) as child:
        try:
            with work.running(child.pid):
                _follow(name, child, log_file, percent)
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)
            raise
    code = child.returncode
    if code != 0:
        tail = "\n".join(log_file.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:])
        raise ProvisionError(f"{name} failed with exit code {code}; the whole log is {log_file}\n{tail}")


def _started(name: str, command: Sequence[str], env: Mapping[str, str]) -> "subprocess.Popen[str]":
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            env=env,
        )
    except OSError as error:
        raise ProvisionError(f"{name}: {command[0]} cannot be started: {error.strerror}") from error


def new_log(name: str, folder: Path) -> Path:
    """An empty log file in `folder`."""
    log_file = folder / f"{name}.log"
    log_file.parent.mkdir(parents=True, exist_ok=True)
    log_file.write_bytes(b"")
    return log_file


def _follow(name: str, child: subprocess.Popen[str], log_file: Path, percent: PercentOf) -> None:
    """Write the child's output to the log, and show how far it is."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
    )
    is_live = CONSOLE.is_terminal
    with Progress(*columns, console=CONSOLE, disable=not is_live) as progress, log_file.open("a") as log:
        bar, said = progress.add_task(name, total=100), -1
        for line in child.stdout or ():
            log.write(line)
            done = percent(line)
            if done is not None:
                progress.update(bar, completed=done)
                if not is_live and done // 10 > said:
                    said = done // 10
                    say(f"{name}: {done} %")
        progress.update(bar, completed=100)

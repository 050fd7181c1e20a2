"""What a run leaves behind is found, ended and named; in a conformance run and in a session of tests."""

import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import leftovers
from harness.conform import Selection, run
from harness.tests.test_cli import CLI, is_running
from harness.tests.test_conform_url import Gathered
from harness.tests.test_pytest_plugin import PLUGIN

pytest_plugins = ("pytester",)

SLEEP, SLEEP_S = "/bin/sleep", "617"  # of nobody else
LEAKING = f"""
import subprocess
import pytest

@pytest.fixture(scope="session")
def stopped_at_the_end():
    with subprocess.Popen(["sleep", "613"], start_new_session=True) as one:
        yield
        one.kill()

def test_clean(stopped_at_the_end):
    assert True

def test_leaks():
    subprocess.Popen(["sleep", "{SLEEP_S}"], start_new_session=True).returncode = 0
"""

Starter = Callable[[str, str], "subprocess.Popen[bytes]"]


@pytest.fixture
def start() -> Iterator[Starter]:
    """Starts a sleeper with marks in its environment; ended after the test."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(marks: str, seconds: str) -> "subprocess.Popen[bytes]":
        environ = {leftovers.MARK_ENV: marks, leftovers.TEST_ENV: "a.py::test (call)"}
        started.append(subprocess.Popen([SLEEP, seconds], env=environ, start_new_session=True))
        return started[-1]

    yield begin
    for one in started:
        one.kill()
        one.wait()


@pytest.mark.req("OC-TEST-7046")
def test_who_has_started_a_moment_ago_is_found(start: Starter) -> None:
    """A process is told to run before its environment can be read: in about a third of these."""
    for number in range(30):
        mark = leftovers.new_mark()
        started = start(mark, SLEEP_S)
        assert [started.pid] == [one.pid for one in leftovers.end(mark)], number


@pytest.mark.req("OC-TEST-7046")
@pytest.mark.parametrize("shown", [True, False])
def test_a_program_that_has_no_arguments_yet_is_looked_at_again_but_not_for_ever(
    shown: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = tmp_path / "7"
    entry.mkdir()
    entry.joinpath("exe").symlink_to(SLEEP)
    entry.joinpath("cmdline").touch()
    entry.joinpath("environ").touch()

    def goes_on(_: float) -> None:
        if shown:
            entry.joinpath("environ").write_bytes(f"{leftovers.MARK_ENV}=own".encode())
            entry.joinpath("cmdline").write_bytes(b"sleep")

    monkeypatch.setattr(leftovers, "EXEC_S", 0.05)
    monkeypatch.setattr(time, "sleep", goes_on)

    assert (leftovers.LeftBehind(7, "sleep") if shown else None) == leftovers._told(entry, "own")


@pytest.mark.req("OC-TEST-7046")
def test_whoever_carries_the_mark_is_ended_and_told_and_nobody_else(start: Starter) -> None:
    mark, other = leftovers.new_mark(), leftovers.new_mark()
    own, of_another_run, similar = start(f"outer {mark}", SLEEP_S), start(other, SLEEP_S), start(f"{mark}er", SLEEP_S)

    expected = leftovers.LeftBehind(own.pid, f"{SLEEP} {SLEEP_S}", "a.py::test (call)")
    assert [expected] == leftovers.end(mark)
    assert -9 == own.wait(timeout=5)
    assert [None, None] == [of_another_run.poll(), similar.poll()]
    assert [] == leftovers.end(mark)


@pytest.mark.req("OC-TEST-7046")
def test_what_is_about_to_end_may(start: Starter) -> None:
    mark = leftovers.new_mark()
    ending = start(mark, "0.3")

    assert [] == leftovers.end(mark, leave_s=30)
    assert 0 == ending.wait(timeout=5)


@pytest.mark.req("OC-TEST-7046")
def test_a_run_in_this_process_blames_nobody_after_a_ctrl_c() -> None:
    def interrupted() -> None:
        with leftovers.watched() as told:
            left.append(told)
            started.append(subprocess.Popen([SLEEP, SLEEP_S], start_new_session=True))
            raise KeyboardInterrupt

    left: list[list[leftovers.LeftBehind]] = []
    started: list[subprocess.Popen[bytes]] = []
    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert ([[]], [-9]) == (left, [child.wait(timeout=5) for child in started])


@pytest.mark.slow
@pytest.mark.req("OC-TEST-7046", "OC-TEST-7006")
def test_a_server_that_leaves_a_child_behind_fails_the_run_of_its_judge() -> None:
    server = f"{sys.executable} -m reference_server serve --ephemeral --port 0"
    launch = shlex.join(["sh", "-c", f"setsid sleep {SLEEP_S} & exec {server}"])
    gathered = Gathered()
    code = run(Selection(launch=launch, keyword="test_a_second_cancel", jobs=1), [gathered])

    assert [] == gathered.result.failures
    assert 1 == code, gathered.log
    (left,) = gathered.result.left_behind
    assert f"sleep {SLEEP_S}" == left["command"]
    assert not is_running(left["pid"])


@pytest.mark.slow
@pytest.mark.req("OC-TEST-7046")
def test_a_server_that_leaves_nothing_does_not() -> None:
    done = subprocess.run([*CLI, "conform", "-k", "test_a_second_cancel"], capture_output=True, text=True, check=False)

    assert (0, False) == (done.returncode, "left behind" in done.stdout), done.stdout


@pytest.mark.slow
@pytest.mark.req("OC-TEST-7047", "OC-TEST-7006")
@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "with-workers"])
def test_a_session_that_leaves_a_process_behind_fails_and_names_who_started_it(
    pytester: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    pytester.makepyfile(test_a=LEAKING)
    result = pytester.runpytest_subprocess(*PLUGIN, *workers)

    result.assert_outcomes(passed=2)
    assert pytest.ExitCode.TESTS_FAILED == result.ret
    result.stdout.fnmatch_lines([f"* sleep {SLEEP_S}, started in test_a.py::test_leaks (call)"])
    result.stdout.no_fnmatch_line("*sleep 613*")
    line = next(line for line in result.outlines if f"sleep {SLEEP_S}, started" in line)
    assert not is_running(int(line.split()[0]))


@pytest.mark.slow
@pytest.mark.req("OC-TEST-7047")
def test_a_session_that_was_interrupted_ends_what_it_has_started_and_blames_nobody(pytester: pytest.Pytester) -> None:
    told = pytester.path / "pid"
    interrupted = f"    open({str(told)!r}, 'w').write(str(child.pid))\n    raise KeyboardInterrupt\n"
    leaks = "import subprocess\ndef test():\n    child = subprocess.Popen(['sleep', '617'], start_new_session=True)\n"
    pytester.makepyfile(test_a=leaks + interrupted)
    result = pytester.runpytest_subprocess(*PLUGIN)

    assert pytest.ExitCode.INTERRUPTED == result.ret
    result.stdout.no_fnmatch_line("*left behind*")
    assert not is_running(int(told.read_text()))

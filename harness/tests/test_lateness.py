"""The harness knows how late it was: a slowed harness leaves a time unknown, a slow server fails it."""

import time
from pathlib import Path

import pytest

from harness.lateness import NOISE_MS, TICK_MS, Stopwatch, Ticker, grown, require_within, waited
from harness.outcome import LateError, TooLateError
from harness.tests.test_pytest_plugin import PLUGIN

pytest_plugins = ("pytester",)

STEPS = """
import os, subprocess, sys
from pytest_bdd import scenarios, then, when
from harness.history import Exchange
from harness.lateness import Stopwatch, require_within

HELD = '''
import os, signal, sys, time
print("ready", flush=True)
sys.stdin.readline()
if {stops}: os.kill(os.getppid(), signal.SIGSTOP)
time.sleep(0.8 if {stops} else 3.0)  # what is late is then most of it, or hardly any
if {stops}: os.kill(os.getppid(), signal.SIGCONT)
if {stops}: time.sleep(0.1)  # the harness sees how late it was
'''

@when("a task is asked for")
def asked(history):
    body = b'{{"status": "ok"}}'
    headers = (("x-correlation-id", "3d6f0a8e-2b5c-4d1e-8f90-1a2b3c4d5e6f"), ("content-type", "application/json"))
    history.exchanges.append(Exchange("GET", "/healthz", (), b"", 200, headers, body, 0.0, 1.0))

@then("it is answered within 400 ms")
def answered(history):
    other = subprocess.Popen([sys.executable, "-c", HELD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    other.stdout.readline()
    watch = Stopwatch([other.pid])
    other.stdin.write("\\n")
    other.stdin.close()
    other.wait()
    other.stdout.close()
    history.figures["answer_ms"] = watch.elapsed_ms
    require_within(watch.elapsed_ms, 400, late_ms=watch.late_ms(), what="the answer")

scenarios("a.feature")
"""

FEATURE = """
@ORCH-2001
Feature: Times
  Scenario: an answer comes soon
    When a task is asked for
    Then it is answered within 400 ms
"""


@pytest.mark.req("OC-TEST-7026", "OC-TEST-7006")
@pytest.mark.parametrize(
    ("stops_the_harness", "counted", "said"),
    [
        pytest.param(
            True, {"skipped": 1}, "UNKNOWN test_an_answer_comes_soon: *the harness was late by*", id="harness"
        ),
        pytest.param(False, {"failed": 1}, "*TooLateError: the answer took*", id="server"),
    ],
)
def test_only_who_was_late_is_blamed(
    pytester: pytest.Pytester, *, stops_the_harness: bool, counted: dict[str, int], said: str
) -> None:
    """The harness is stopped by a signal, for longer than the limit; or it is not, and the answer takes as long."""
    pytester.path.joinpath("a.feature").write_text(FEATURE, encoding="utf-8")
    pytester.makepyfile(test_a=STEPS.format(stops=stops_the_harness))

    result = pytester.runpytest_subprocess(*PLUGIN)

    result.assert_outcomes(**counted)
    result.stdout.fnmatch_lines([said])


@pytest.mark.req("OC-TEST-7026")
@pytest.mark.parametrize(
    ("elapsed_ms", "late_ms", "expected"),
    [
        pytest.param(100, 500, None, id="in-time"),
        pytest.param(130, 30, LateError, id="late-by-all-of-it"),
        pytest.param(130, 29, TooLateError, id="late-by-less"),
    ],
)
def test_a_time_is_judged_without_what_the_harness_took(
    elapsed_ms: float, late_ms: float, expected: type[Exception] | None
) -> None:
    if expected is None:
        require_within(elapsed_ms, 100, late_ms=late_ms, what="it")
        return
    with pytest.raises(expected, match=f"it took 130 ms of 100 ms; the harness was late by {late_ms}"):
        require_within(elapsed_ms, 100, late_ms=late_ms, what="it")


def test_the_ticker_counts_what_it_overslept() -> None:
    ticker = Ticker(lambda pause_s: time.sleep(pause_s + 0.05))
    until_s = time.monotonic() + 10
    while ticker.late_ms < 2 * (50 - NOISE_MS) and time.monotonic() < until_s:
        time.sleep(TICK_MS / 1000)

    assert ticker.late_ms >= 2 * (50 - NOISE_MS)


@pytest.mark.req("OC-TEST-7029")
def test_waiting_for_a_processor_is_read_from_the_kernel(tmp_path: Path) -> None:
    """Of all threads, and of those that have come meanwhile; what is no account counts as none."""
    for name, text in (("7", "5 3000000 1"), ("8", "5 9000000 1"), ("9", "none")):
        tmp_path.joinpath("7", "task", name).mkdir(parents=True)
        tmp_path.joinpath("7", "task", name, "schedstat").write_text(text)

    assert {"7": 3.0, "8": 9.0} == waited(7, tmp_path)
    assert {} == waited(8, tmp_path)
    assert 6.0 == grown({"7": 3.0}, {"7": 5.0, "8": 6.0})
    assert 0.0 == grown({"7": 3.0}, {})


def test_what_has_ended_has_not_waited() -> None:
    watch = Stopwatch([2**22 + 1])

    assert watch.late_ms() <= watch.elapsed_ms
    assert not watch.is_over(60_000)
    assert "waited" in str(watch.hang("the moon", within_ms=5))

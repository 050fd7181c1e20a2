"""The plugin: ids, outcomes, and scenarios that cannot pass by doing nothing."""

import pytest

from harness.outcome import Outcome
from harness.registry.evidence import read
from harness.stand_in import REQUIRE_ENGINE_ENV

pytest_plugins = ("pytester",)

PLUGIN = ("-p", "harness.pytest_plugin", "--strict-markers", "--import-mode=importlib", "-p", "no:cacheprovider")

STEPS = """
from pytest_bdd import given, then, when, scenarios
from harness.checks.violation import Violation
from harness.expect import ViolationError
from harness.history import Exchange
from harness.outcome import HangError, LateError, NotApplicableError

FRESH = (("x-correlation-id", "3d6f0a8e-2b5c-4d1e-8f90-1a2b3c4d5e6f"), ("content-type", "application/json"))

def exchange(status=200, headers=FRESH):
    body = b'{"status": "ok"}'
    return Exchange("GET", "/healthz", (), b"", status, headers, body, 0.0, 1.0)

@given("a request")
def a_request(history):
    history.exchanges.append(exchange())

@given("an answer without correlation id")
def no_id(history):
    history.exchanges.append(exchange(headers=FRESH[1:]))

@given("a prerequisite that fails")
def fails():
    raise AssertionError("no slot")

@given("something that does not apply")
def does_not_apply():
    raise NotApplicableError("no such ability")

@when("nothing more happens")
def nothing(): pass

@when("it waits for ever")
def waits():
    raise HangError("waited 5 ms for the moon")

@when("a step is async")
async def is_async(): pass

@then("all is well")
def all_is_well(history):
    assert history.sent < 2

@then("nothing is looked at")
def nothing_is_looked_at(): pass

@then("every stream is well")
def every_stream_is_well(history):
    for stream in history.streams:
        assert stream.terminal

@given("a fault that does not happen")
def no_fault(history):
    history.expect_fault("a cut", lambda: False)

@given("a fault that happens")
def a_fault(history):
    history.expect_fault("a reset", lambda: True)

@given("something that does not last")
def does_not_last(history):
    history.build_on("the task ended by itself", lambda: False)

@given("something that lasts")
def lasts(history):
    history.build_on("the slot became free", lambda: True)

@when("the harness is late")
def is_late():
    raise LateError("late by 90 ms")

@then("it is wrong")
def is_wrong():
    raise ViolationError([Violation("ORCH-2001", "this", "that")])

@then("it is not as good as it could be")
def could_be_better():
    raise ViolationError([Violation("ORCH-3006", "this", "that")])

scenarios("a.feature")
"""


def run(
    pytester: pytest.Pytester, *steps: str, tag: str = "@ORCH-2001", options: tuple[str, ...] = ()
) -> pytest.RunResult:
    """Run one scenario in a process of its own."""
    lines = "\n".join(f"    {step}" for step in steps)
    feature = f"{tag}\nFeature: A feature\n  Scenario: a scenario\n{lines}\n"
    pytester.path.joinpath("a.feature").write_text(feature, encoding="utf-8")
    pytester.makepyfile(test_a=STEPS)
    return pytester.runpytest_subprocess(*PLUGIN, *options)


def test_a_scenario_that_sends_something_and_breaks_no_rule_passes(pytester: pytest.Pytester) -> None:
    result = run(pytester, "Given a request", "And a fault that happens", "Then all is well")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*1 PASS*"])


@pytest.mark.req("OC-TEST-7006", "OC-TEST-7020")
@pytest.mark.parametrize(
    ("steps", "why"),
    [
        pytest.param(("When nothing more happens", "Then all is well"), "it sent nothing", id="sent-nothing"),
        pytest.param(("Given a request", "When nothing more happens"), "it asserted nothing", id="asserted-nothing"),
        pytest.param(
            ("Given a request", "Then all is well", "Then nothing is looked at"),
            "a step asserts nothing, or not always: nothing is looked at",
            id="an-empty-step",
        ),
        pytest.param(
            ("Given a request", "Then every stream is well"),
            "a step asserts nothing, or not always: every stream is well",
            id="a-loop-over-nothing",
        ),
        pytest.param(
            ("Given a request", "And a fault that happens", "And a fault that does not happen", "Then all is well"),
            "its fault did not happen: what would have followed is not known; a cut",
            id="no-fault",
        ),
    ],
)
def test_a_scenario_that_shows_nothing_is_unknown(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, steps: tuple[str, ...], why: str
) -> None:
    monkeypatch.setenv("LLAMA_ORCH_EVIDENCE", str(pytester.path / "evidence"))
    result = run(pytester, *steps)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*{why}*", "*1 UNKNOWN*"])
    (line,) = read(pytester.path / "evidence")
    assert ("a-feature/a-scenario", "ORCH-2001", Outcome.UNKNOWN) == (line.check, line.requirement, line.verdict)


@pytest.mark.req("OC-TEST-7010")
@pytest.mark.parametrize(("engine", "passes"), [("vllm", True), (None, False)])
def test_the_start_of_a_real_engine_counts_in_no_scenarios_limit(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, engine: str | None, *, passes: bool
) -> None:
    """It has one of its own, of minutes; without a real engine nothing that a scenario needs takes so long."""
    if engine is not None:
        monkeypatch.setenv(REQUIRE_ENGINE_ENV, engine)
    start = "import time, pytest\n@pytest.fixture(autouse=True)\ndef start():\n    time.sleep(1.5)\n"
    pytester.makeconftest(start)
    result = run(pytester, "Given a request", "Then all is well", options=("--timeout", "1"))

    assert passes == ("passed" in result.parseoutcomes()), result.stdout.str()


@pytest.mark.req("OC-TEST-7026")
def test_a_harness_that_is_late_makes_no_failure(pytester: pytest.Pytester) -> None:
    result = run(pytester, "Given a request", "When the harness is late", "Then all is well")

    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*1 UNKNOWN*", "UNKNOWN test_a_scenario: late by 90 ms"])


@pytest.mark.req("OC-TEST-7020")
def test_ordinary_tests_leave_evidence_too(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_ORCH_EVIDENCE", str(pytester.path / "evidence"))
    marked = "import pytest\n@pytest.mark.req('ORCH-2001')\ndef test_{0}(): assert {1}\n"
    pytester.makepyfile(test_a=marked.format("b_c", 1), test_d=marked.format("e", 0))

    pytester.runpytest_subprocess(*PLUGIN)

    found = {line.check: line.verdict for line in read(pytester.path / "evidence")}
    assert {"a/b-c": Outcome.PASS, "d/e": Outcome.FAIL} == found


RUNS_A_COMMAND = """
import pytest
from typer.testing import CliRunner
from harness import cli

LINT = ["metrics", "lint", "-"]

@pytest.fixture(scope="module")
def planted():
    return CliRunner().invoke(cli.app, LINT, input="tasks 1\\n").exit_code

@pytest.mark.req("ORCH-2001")
def test_a(planted):
    assert 1 == planted == CliRunner().invoke(cli.app, LINT, input="tasks 1\\n").exit_code
"""


@pytest.mark.req("OC-TEST-7020", "OC-TEST-7048")
def test_what_a_command_says_inside_a_test_is_no_evidence_of_the_session(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails as the test wants it to: in the session's evidence that would be a failure."""
    monkeypatch.setenv("LLAMA_ORCH_EVIDENCE", str(pytester.path / "evidence"))
    pytester.makepyfile(test_a=RUNS_A_COMMAND)

    pytester.runpytest_subprocess(*PLUGIN).assert_outcomes(passed=1)

    assert [("a/a", Outcome.PASS)] == [(line.check, line.verdict) for line in read(pytester.path / "evidence")]


@pytest.mark.req("OC-TEST-7006")
def test_a_scenario_whose_recordings_break_a_universal_rule_fails(pytester: pytest.Pytester) -> None:
    result = run(pytester, "Given an answer without correlation id", "When nothing more happens")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*OC-CTRL-2052: expected a UUIDv4*"])


@pytest.mark.req("OC-TEST-7009", "OC-TEST-7008")
@pytest.mark.parametrize(
    ("step", "outcome", "counted"),
    [
        pytest.param("Then it is wrong", "FAIL", {"failed": 1}, id="must"),
        pytest.param("Then it is not as good as it could be", "WARN", {"passed": 1}, id="should"),
        pytest.param("When it waits for ever", "HANG", {"failed": 1}, id="hang"),
        pytest.param("Given a prerequisite that fails", "NOT_TESTABLE", {"failed": 1}, id="prerequisite"),
        pytest.param("Given something that does not apply", "NOT_APPLICABLE", {"skipped": 1}, id="not-applicable"),
    ],
)
def test_how_a_scenario_ends_is_its_outcome(
    pytester: pytest.Pytester, step: str, outcome: str, counted: dict[str, int]
) -> None:
    result = run(pytester, "Given a request", step, options=("--junit-xml=out.xml",))

    result.assert_outcomes(**counted)
    result.stdout.fnmatch_lines([f"*1 {outcome}*"])
    assert f'name="outcome" value="{outcome}"' in pytester.path.joinpath("out.xml").read_text(encoding="utf-8")


@pytest.mark.req("OC-TEST-7097")
@pytest.mark.parametrize(
    ("step", "outcome"),
    [
        pytest.param("Then it is wrong", "UNKNOWN", id="must"),
        pytest.param("Then it is not as good as it could be", "UNKNOWN", id="should"),
        pytest.param("When it waits for ever", "HANG", id="hang"),
        pytest.param("Given a prerequisite that fails", "NOT_TESTABLE", id="prerequisite"),
    ],
)
def test_a_failure_after_what_it_builds_on_has_ended_is_unknown(
    pytester: pytest.Pytester, step: str, outcome: str
) -> None:
    """What has to come in time does not come because something else has ended."""
    result = run(pytester, "Given a request", "And something that lasts", "And something that does not last", step)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*1 {outcome}*"])
    told = "UNKNOWN test_a_scenario: what it builds on did not last: the task ended by itself"
    assert (outcome == "UNKNOWN") == (told in result.stdout.str())


@pytest.mark.req("OC-TEST-7097")
def test_a_failure_while_what_it_builds_on_lasts_is_a_failure(pytester: pytest.Pytester) -> None:
    result = run(pytester, "Given a request", "And something that lasts", "Then it is wrong")

    result.stdout.fnmatch_lines(["*1 FAIL*"])


@pytest.mark.req("OC-TEST-7097")
def test_a_check_that_passes_does_not_ask_what_it_builds_on(pytester: pytest.Pytester) -> None:
    result = run(pytester, "Given a request", "And something that does not last", "Then all is well")

    result.assert_outcomes(passed=1)


TELL = """
def pytest_runtest_logreport(report):
    if report.failed:
        print("trace:", *report.verdict["trace"])
"""


def test_what_a_scenario_sent_and_got_travels_with_its_failure(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(TELL)
    result = run(pytester, "Given a request", "Then it is wrong", options=("-s",))

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*trace: GET /healthz", "  < 200", '  < {"status": "ok"}'])


def test_an_async_step_is_refused(pytester: pytest.Pytester) -> None:
    result = run(pytester, "Given a request", "When a step is async")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*async step: a step is async*"])


@pytest.mark.req("OC-TEST-7004")
def test_an_id_that_no_spec_states_fails_collection(pytester: pytest.Pytester) -> None:
    result = run(pytester, "Given a request", tag="@ORCH-9999")

    assert pytest.ExitCode.USAGE_ERROR == result.ret
    result.stderr.fnmatch_lines(["*test_a.py::test_a_scenario: ORCH-9999*"])


@pytest.mark.req("OC-TEST-7004")
@pytest.mark.parametrize(
    ("wanted", "counted"),
    [
        pytest.param(("--req", "ORCH-2001"), {"passed": 1, "deselected": 1}, id="one"),
        pytest.param(("--req", "ORCH-2001", "--req", "ORCH-2002"), {"passed": 2}, id="two"),
        pytest.param(("--req", "ORCH-2003"), {"deselected": 2}, id="none"),
    ],
)
def test_a_run_can_ask_for_requirements(
    pytester: pytest.Pytester, wanted: tuple[str, ...], counted: dict[str, int]
) -> None:
    marked = "import pytest\n@pytest.mark.req('ORCH-{0}')\ndef test_{0}(): pass\n"
    pytester.makepyfile(test_a=marked.format(2001), test_b=marked.format(2002))

    pytester.runpytest_subprocess(*PLUGIN, *wanted).assert_outcomes(**counted)


def test_a_wanted_id_that_no_spec_states_is_wrong_usage(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_a="def test_a(): pass")

    assert pytest.ExitCode.USAGE_ERROR == pytester.runpytest_subprocess(*PLUGIN, "--req", "ORCH-9999").ret


def test_ordinary_tests_are_left_alone(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """No server is started, and nothing heavy is imported, for tests that are no scenarios."""
    heavy = ("httpx", "jsonschema_rs", "harness.target", "harness.schema")
    pytester.makepyfile(test_a=f"import sys\ndef test_a(): assert not set({heavy}) & set(sys.modules)")

    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # other plugins import heavy things of their own
    result = pytester.runpytest_subprocess("-p", "pytest_bdd.plugin", *PLUGIN)

    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*scenarios*")

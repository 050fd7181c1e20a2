"""What every test run of this repository knows: requirement ids on tests, and how scenarios are run and judged.

Loaded with `-p harness.pytest_plugin`. Kept light: nothing heavy is imported before a scenario needs it.

A scenario passes when its steps do, when it has sent and asserted something at all, and when nothing that it recorded
breaks a universal rule (`harness.checks.judge`). Every test with a `req` mark leaves its evidence
(`harness.registry.evidence`). A session that leaves a process behind fails (`harness.leak_hooks`).
"""

import inspect
import sys
from collections import Counter
from collections.abc import Callable, Generator
from fnmatch import fnmatchcase
from typing import Any

import pytest

from harness.outcome import LateError, Outcome, UnknownError
from harness.registry.check import PROFILES
from harness.stash import ASSERTED, EMPTY_STEPS, FAILED_STEP, HISTORY, LOST_PREMISES

pytest_plugins = ("harness.fixtures", "harness.registry.pytest_hooks", "harness.leak_hooks")

REQUIREMENT_TAG = ("ORCH-", "OC-", "HME-")

MARKS = (
    "scenario: a scenario of the features; set on every one",
    "profile(*names): the profiles that run this check, beside `full`",
    "disturbs: fills slots or queues, or needs the server for itself",
    "req(*ids): the requirements that this test proves",
    "real_part: needs Chromium, Prometheus or docker-registry, which pip does not install; left out of `make test`",
    "real_engine: needs a real engine; a stand-in does not claim it",
    "stand_in: needs an engine that fails on demand, which no real one does",
    "slow: takes more than some seconds",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of a conformance run."""
    group = parser.getgroup("orchqueue", "conformance of an OrchQueue server")
    group.addoption("--server-url", metavar="URL", help="judge the server at this URL instead of starting one")
    group.addoption(
        "--launch",
        metavar="COMMAND",
        help="start this server; {config} stands for a configuration file, {port} for a port",
    )
    group.addoption("--token-env", metavar="NAME", help="the environment variable with the API token of --server-url")
    group.addoption("--engine-url", metavar="URL", help="the llama-server behind --server-url, to compare with")
    group.addoption("--req", metavar="ID", action="append", default=[], help="only what proves this requirement id")
    group.addoption("--profile", action="append", default=[], choices=PROFILES, help="only the checks of this profile")
    group.addoption("--check", metavar="GLOB", action="append", default=[], help="only checks whose id matches")
    group.addoption("--tag", metavar="TAG", action="append", default=[], help="only scenarios with this tag")
    group.addoption("--no-disturb", action="store_true", help="leave out the checks that disturb")
    group.addoption(
        "--events-fd", metavar="FD", type=int, help="write the run's events as JSON lines to this descriptor"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marks and, when asked for, the writer of events."""
    for mark in MARKS:
        config.addinivalue_line("markers", mark)
    config.pluginmanager.register(Outcomes(), "orchqueue-outcomes")
    _require_known({}, set(config.getoption("--req")))  # before any worker is started
    if config.getoption("--events-fd") is None:
        return
    from harness.report.events import EventWriter, PlanWriter

    is_worker = hasattr(config, "workerinput")
    writer = PlanWriter(config) if is_worker else EventWriter(config.getoption("--events-fd"))
    config.pluginmanager.register(writer, "orchqueue-events")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let `-m scenario` select the scenarios, wherever they are bound.

    Behind a real engine the first of them starts it, in minutes on a busy machine: that start has a limit of its own.
    """
    from harness.scenario import scenario_of
    from harness.stand_in import required_engine

    if scenario_of(item) is None:
        return
    item.add_marker("scenario")
    if required_engine() is not None:
        item.add_marker(pytest.mark.timeout(func_only=True))


# ── requirement ids ──


@pytest.hookimpl(tryfirst=True)
def pytest_bdd_apply_tag(tag: str, function: Callable[..., Any]) -> bool | None:
    """Turn requirement ids into `req` marks, profiles into `profile` marks; other tags are marks of their own name."""
    if tag in PROFILES:
        pytest.mark.profile(tag)(function)
        return True
    if not tag.startswith(REQUIREMENT_TAG):
        return None
    pytest.mark.req(tag)(function)
    return True


def requirement_ids(item: pytest.Item) -> set[str]:
    """The ids of all `req` marks of a test, inherited ones included."""
    return {identifier for mark in item.iter_markers("req") for identifier in mark.args}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse ids that no spec states, write the ids down for JUnit, and keep what proves the wanted ones."""
    named = {item: requirement_ids(item) for item in items}
    _require_known({item.nodeid: ids for item, ids in named.items() if ids}, set(config.getoption("--req")))
    for item, ids in named.items():
        item.user_properties += [("requirement", identifier) for identifier in sorted(ids)]
    kept = [item for item in items if _is_selected(item, named[item], config)]
    if len(kept) < len(items):
        config.hook.pytest_deselected(items=[item for item in items if item not in set(kept)])
        items[:] = kept


def _is_selected(item: pytest.Item, ids: set[str], config: pytest.Config) -> bool:
    """Every kind of selection that was given has to agree; of each kind, one value has to."""
    from harness.scenario import scenario_of

    wanted = config.getoption("--req")
    if wanted and not ids & set(wanted):
        return False
    profiles, checks, tags = (config.getoption(name) for name in ("--profile", "--check", "--tag"))
    scenario = scenario_of(item)
    if scenario is None:
        return not (profiles or checks or tags)
    return (
        not (profiles and not set(profiles) & set(scenario.profiles))
        and not (checks and not any(fnmatchcase(scenario.check, glob) for glob in checks))
        and not (tags and not set(tags) & {*ids, *scenario.profiles, *(mark.name for mark in item.iter_markers())})
        and not (scenario.disturbs and config.getoption("--no-disturb"))
    )


def _require_known(named: dict[str, set[str]], wanted: set[str]) -> None:
    if not named and not wanted:
        return
    from harness import requirements

    known = requirements.load().keys()
    wrong = [f"{nodeid}: {', '.join(sorted(ids - known))}" for nodeid, ids in named.items() if ids - known]
    if wanted - known:
        wrong.append(f"--req: {', '.join(sorted(wanted - known))}")
    if wrong:
        raise pytest.UsageError("requirement ids that contracts/specs does not state:\n  " + "\n  ".join(wrong))


# ── scenarios ──


def pytest_bdd_before_step_call(step: Any, step_func: Callable[..., Any]) -> None:
    """Refuse async steps: pytest-bdd would drop the coroutine and pass."""
    if inspect.iscoroutinefunction(step_func):
        raise pytest.UsageError(f"async step: {step.name}")


def pytest_bdd_after_step(request: pytest.FixtureRequest, step: Any, step_func: Callable[..., Any]) -> None:
    """Count what was asserted: a `then` that judges, and has come to its end."""
    if step.type != "then":
        return
    from harness.judging import judges

    stash = request.node.stash
    if judges(step_func):
        stash[ASSERTED] = stash.get(ASSERTED, 0) + 1
    else:
        stash[EMPTY_STEPS] = [*stash.get(EMPTY_STEPS, []), step.name]


def pytest_bdd_step_error(request: pytest.FixtureRequest, step: Any) -> None:
    """Remember which kind of step failed, and what it builds on that did not last."""
    stash = request.node.stash
    stash[FAILED_STEP] = step.type
    if (history := stash.get(HISTORY, None)) is not None:
        stash[LOST_PREMISES] = history.lost_premises()


def pytest_bdd_after_scenario(request: pytest.FixtureRequest) -> None:
    """Judge all that was recorded; a scenario that has failed already is not judged further."""
    if sys.exc_info()[0] is not None:
        return
    from harness.checks.judge import judge
    from harness.expect import require
    from harness.registry.evidence import why_vacuous
    from harness.schema import contract

    history = request.getfixturevalue("history")
    require(judge(history, contract()))
    if empty := request.node.stash.get(EMPTY_STEPS, []):
        raise UnknownError(f"a step asserts nothing, or not always: {', '.join(empty)}")
    asserted = request.node.stash.get(ASSERTED, 0)
    missed = history.missed_faults()
    fired = not missed if history.faults else None
    if (why := why_vacuous(sent=history.sent, asserted=asserted, fired=fired)) is not None:
        raise UnknownError("; ".join([why, *missed]))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Give the report of a scenario its outcome; turn what does not apply into a skip, and a warning into a pass."""
    report = yield
    if item.get_closest_marker("scenario") is None or (call.excinfo is None and call.when != "call"):
        return report
    from harness.verdict import verdict_of

    error = call.excinfo.value if call.excinfo is not None else None
    in_given, lost = item.stash.get(FAILED_STEP, "") == "given", item.stash.get(LOST_PREMISES, [])
    verdict = verdict_of(error, in_given=in_given, level_of=_level_of, lost=lost)
    if verdict.outcome is Outcome.NOT_APPLICABLE or isinstance(error, LateError):
        path, line, _ = item.location
        report.outcome, report.longrepr = "skipped", (path, (line or 0) + 1, f"{verdict.outcome}: {verdict.message}")
    elif verdict.outcome is Outcome.WARN:
        report.outcome, report.longrepr = "passed", None
    item.user_properties.append(("outcome", str(verdict.outcome)))
    report.user_properties = list(item.user_properties)
    told = verdict.told()
    if (history := item.stash.get(HISTORY, None)) is not None:
        told["figures"] = history.figures
        told["trace"] = [] if verdict.outcome in (Outcome.PASS, Outcome.NOT_APPLICABLE) else history.told()
    report.verdict = told  # type: ignore[attr-defined]  # for those who listen to reports, in other processes too
    return report


class Outcomes:
    """Every scenario's outcome, the worst of its phases, and its reason, by node id."""

    def __init__(self) -> None:
        self.found: dict[str, tuple[Outcome, str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take in one phase."""
        told = getattr(report, "verdict", None)
        if told is not None and (report.nodeid not in self.found or Outcome(told["outcome"]).is_failure):
            self.found[report.nodeid] = (Outcome(told["outcome"]), told["message"])


def _level_of(identifier: str) -> str:
    from harness import requirements

    found = requirements.load().get(identifier)
    return found.level if found is not None else "MUST"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Count scenarios by outcome, and say what did not apply, and why."""
    outcomes: Outcomes = config.pluginmanager.getplugin("orchqueue-outcomes")
    results = outcomes.found
    if not results:
        return
    counts = Counter(outcome for outcome, _ in results.values())
    terminalreporter.section("scenarios")
    terminalreporter.write_line(", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome if counts[outcome]))
    for nodeid, (outcome, message) in results.items():
        if outcome in (Outcome.NOT_APPLICABLE, Outcome.WARN, Outcome.UNKNOWN):
            terminalreporter.write_line(f"{outcome} {nodeid.rpartition('::')[2]}: {message}")

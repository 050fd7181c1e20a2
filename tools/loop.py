"""Which tests the developer's loop runs: a pytest plugin that `python -m tools check` loads, and nothing else does.

A test is slow when it, or a fixture that it uses, starts a process, or when it takes more than `SLOW_S`. `slow.txt`
lists those; `python -m tools slow` measures and writes it. The loop leaves them, and every scenario outside the profile
`core`, to `make test`, which runs everything. What the loop does run is watched: a test that starts a process, or takes
`LOOP_CPU_S` of processor time, fails it, so that nothing becomes slow unnoticed. Load decides neither.

Source: OC-TEST-7042, OC-TEST-7043.
"""

import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

SLOW_FILE = Path(__file__).with_name("slow.txt")
SLOW_S = 0.5  # of an idle machine; the loop has some thousand tests and less than a minute
LOOP_CPU_S = (
    5.0  # ten times of it: no slower machine, and no import that a test happens to be first to do, comes to that
)
STARTS = frozenset({"subprocess.Popen", "os.posix_spawn", "os.fork", "os.forkpty", "os.system", "os.spawn"})
PROFILE = "core"
HEADER = """\
# Tests, or files of tests, that start a process or take more than half a second: the developer's loop leaves them to
# `make test`. Written by `python -m tools slow`; a line more by hand does no harm.
"""


@dataclass(slots=True)
class Cost:
    """What one test took, over its setup, its call and its teardown.

    Attributes:
        starts: processes that it started itself, fixtures left out.
        fixtures: those that it uses, by place and name.
        starting: those among all fixtures that were seen to start a process.
    """

    seconds: float = 0
    cpu_s: float = 0
    starts: int = 0
    fixtures: frozenset[str] = frozenset()
    starting: frozenset[str] = frozenset()
    is_scenario: bool = False


@dataclass(slots=True)
class Watch:
    """Counts the processes that are started, by the fixture that is being set up or by the test itself."""

    at_work: list[str] = field(default_factory=list)
    by_fixture: set[str] = field(default_factory=set)
    by_test: int = 0

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        """See one audit event of the interpreter."""
        del arguments
        if event not in STARTS:
            return
        if self.at_work:
            self.by_fixture.add(self.at_work[-1])
        else:
            self.by_test += 1


class Recorder:
    """In the process that runs tests: puts on each report what its phase took."""

    def __init__(self) -> None:
        self.watch = Watch()
        sys.addaudithook(self.watch)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Generator[None, object, object]:
        """Charge what starts now to the fixture."""
        self.watch.at_work.append(_fixture(fixturedef))
        try:
            return (yield)
        finally:
            self.watch.at_work.pop()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Begin with a test that has started nothing."""
        del item
        self.watch.by_test = 0
        self.cpu_s = time.process_time()
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Write down the phase; a report goes to other processes with all its attributes."""
        report = yield
        now = time.process_time()
        report.cost = {  # type: ignore[attr-defined]
            "seconds": call.duration,
            "cpu_s": now - self.cpu_s,
            "starts": self.watch.by_test,
            "fixtures": sorted(_fixtures(item)),
            "starting": sorted(self.watch.by_fixture),
            "is_scenario": item.get_closest_marker("scenario") is not None,
        }
        self.cpu_s, self.watch.by_test = now, 0
        return report


class Judge:
    """In the process that hears all reports: adds them up, fails the loop, or writes the list."""

    def __init__(self, measured: Path | None) -> None:
        self.costs: dict[str, Cost] = defaultdict(Cost)
        self.measured = measured

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Take in one phase of one test."""
        told, cost = report.cost, self.costs[report.nodeid]
        cost.seconds += told["seconds"]
        cost.cpu_s += told["cpu_s"]
        cost.starts += told["starts"]
        cost.fixtures = frozenset(told["fixtures"])
        cost.starting |= frozenset(told["starting"])
        cost.is_scenario = told["is_scenario"]

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail a green run that a test made slow."""
        if self.measured is not None:
            self.measured.write_text(listed(self.costs), encoding="utf-8")
        elif too_slow(self.costs) and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say which, and what to do."""
        found = [] if self.measured is not None else too_slow(self.costs)
        if found:
            terminalreporter.section("too slow for the loop")
            for line in found:
                terminalreporter.write_line(line)
            terminalreporter.write_line(f"make them faster, or add their names to tools/{SLOW_FILE.name}")


def pytest_addoption(parser: pytest.Parser) -> None:
    """What is slow, and how `python -m tools slow` asks for it."""
    parser.addoption("--slow", type=Path, metavar="FILE", default=SLOW_FILE, help="leave out what this file lists")
    parser.addoption("--measure", type=Path, metavar="FILE", help="leave nothing out, and list here what is slow")


def pytest_configure(config: pytest.Config) -> None:
    """Watch where tests run, judge where their reports come together, and leave out what is listed."""
    measured: Path | None = config.getoption("--measure")
    if measured is None:
        listed_names = names(config.getoption("--slow").read_text("utf-8"))
        config.pluginmanager.register(Selection(listed_names, config.rootpath), "loop-selection")
    config.pluginmanager.register(Recorder(), "loop-recorder")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Judge(measured), "loop-judge")


@dataclass(frozen=True, slots=True)
class Selection:
    """Leaves out what is slow."""

    slow: frozenset[str]
    root: Path

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """A file of which everything is slow is not even read."""
        return True if collection_path.relative_to(self.root).as_posix() in self.slow else None

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Mark what is listed, and scenarios of other profiles; `-m "not slow"` does the rest."""
        from harness.scenario import scenario_of

        scenario = scenario_of(item)
        if scenario is None and without_case(item.nodeid) in self.slow:
            item.add_marker("slow")
        if scenario is not None and PROFILE not in scenario.profiles:
            item.add_marker("slow")


def measure(root: Path) -> int:
    """Run everything that `make test` runs, and write the list.

    Returns:
        pytest's exit code.
    """
    marks = "not real_engine and not real_part"
    command = ["-m", "pytest", "-q", "-p", "tools.loop", "--measure", str(SLOW_FILE), "-n", "auto", "-m", marks]
    return subprocess.run([sys.executable, *command], cwd=root, check=False).returncode


def names(text: str) -> frozenset[str]:
    """The names in a list."""
    return frozenset(line for line in text.splitlines() if line and not line.startswith("#"))


def without_case(nodeid: str) -> str:
    """A test's name without its parameters."""
    return nodeid.partition("[")[0]


def slow(costs: dict[str, Cost]) -> set[str]:
    """The tests that are slow, by node id; scenarios are chosen by their profile."""
    starting = frozenset[str]().union(*(cost.starting for cost in costs.values()))
    return {
        nodeid
        for nodeid, cost in costs.items()
        if not cost.is_scenario and (cost.starts or cost.fixtures & starting or cost.seconds > SLOW_S)
    }


def listed(costs: dict[str, Cost]) -> str:
    """The list: whole files where nothing of them is quick."""
    found = {without_case(nodeid) for nodeid in slow(costs)}
    quick = {_file(nodeid) for nodeid in costs if without_case(nodeid) not in found}
    lines = {name if _file(name) in quick else _file(name) for name in found}
    return HEADER + "".join(f"{line}\n" for line in sorted(lines))


def too_slow(costs: dict[str, Cost]) -> list[str]:
    """One line for each test that has no place in the loop."""
    starting = frozenset[str]().union(*(cost.starting for cost in costs.values()))
    found = {}
    for nodeid, cost in costs.items():
        if not cost.is_scenario and (cost.starts or cost.fixtures & starting):
            found[without_case(nodeid)] = "starts a process"
        elif cost.cpu_s > LOOP_CPU_S:
            found[without_case(nodeid)] = f"takes {cost.cpu_s:.1f} s of processor time"
    return [f"{name} {what}" for name, what in found.items()]


def problems(root: Path, listed_names: Iterable[str]) -> list[str]:
    """One line for each name that no test has."""
    return [f"tools/{SLOW_FILE.name}: no such test: {name}" for name in sorted(listed_names) if not _exists(root, name)]


def _exists(root: Path, name: str) -> bool:
    file, _, test = name.partition("::")
    path = root / file
    return path.is_file() and test.partition("::")[0] in path.read_text("utf-8")


def _file(nodeid: str) -> str:
    return nodeid.partition("::")[0]


def _fixture(fixturedef: Any) -> str:
    return f"{fixturedef.baseid}::{fixturedef.argname}"


def _fixtures(item: pytest.Item) -> Iterable[str]:
    info = getattr(item, "_fixtureinfo", None)
    return {_fixture(d) for defs in (info.name2fixturedefs.values() if info else ()) for d in defs}

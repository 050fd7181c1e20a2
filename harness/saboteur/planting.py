"""The pytest plugin of a proof: each selected scenario runs unharmed and with every defect that it should find.

Loaded with `-p harness.saboteur.planting --plant ID…`. A row of an outline is not run any more once another row of its
check has found the defect. The defect is planted from the first step to the last: what the scenario needs before and
leaves behind is not in its way.
"""

import importlib
import re
import sys
import tempfile
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.outcome import NotApplicableError, Outcome
from harness.registry.pytest_hooks import ENVIRONMENT
from harness.saboteur import plan
from harness.saboteur.defect import Defect, Wire
from harness.saboteur.defects import DEFECTS
from harness.saboteur.proxy import PLAIN, Saboteur

if TYPE_CHECKING:
    from harness.scenario import ScenarioInfo

OWN_SERVER = re.compile(r"a server (of its own|that drains|whose model)")
MARK = "~"  # before the id of a defect, in the id of a test
FOUND = "another row has shown it already"
ENOUGH = "a check has found this defect, and this check has found another one"
FOUND_IT = (Outcome.FAIL, Outcome.WARN, Outcome.NOT_TESTABLE)  # the last one: its other rows begin the same

WIRE = pytest.StashKey[Wire]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of a proof."""
    group = parser.getgroup("prove", "proof that checks can fail")
    group.addoption("--plant", metavar="ID", action="append", default=[], help="a defect to plant")
    group.addoption("--defects-from", metavar="MODULE", help="further defects, from this Python module")
    group.addoption("--all-checks", action="store_true", help="not only the checks of the requirement that it breaks")
    group.addoption("--by-plan", action="store_true", help="only until each defect is found, and each check has")


def pytest_configure(config: pytest.Config) -> None:
    """Stand between harness and server."""
    config.pluginmanager.register(Planter(config), "orchqueue-saboteur")
    config.stash[ENVIRONMENT] = {}  # what fails here is planted: it is no evidence


class Planter:
    """Plants, and says what came of it."""

    def __init__(self, config: pytest.Config) -> None:
        self.saboteur = Saboteur()
        if (module := config.getoption("--defects-from")) is not None:
            importlib.import_module(module)
        plants = config.getoption("--plant")
        self._defects = [DEFECTS[identifier] for identifier in plants if identifier != PLAIN.id]
        self._has_control = PLAIN.id in plants
        self._all_checks = bool(config.getoption("--all-checks"))
        self._is_brief = bool(config.getoption("--by-plan"))
        self._plan = plan.load() if self._is_brief else {}
        self._found_by_own: set[str] = set()
        self._worked: set[str] = set()
        self._found: set[tuple[str, str]] = set()
        self._folder = tempfile.TemporaryDirectory(prefix="llama-orch-prove-")
        self._fired = Path(self._folder.name) / "fired"

    def front(self, url: str) -> str:
        """The address to speak to in place of a server's own."""
        return self.saboteur.front(url)

    def around(self, command: Sequence[str]) -> Sequence[str]:
        """The command that runs a server, with the defect around it where that is where it sits."""
        wire = self.saboteur.planted
        if wire is None or wire.defect.kind not in ("logs", "exits"):
            return command
        return [sys.executable, "-m", "harness.saboteur.around", wire.defect.id, str(self._fired), *command]

    @pytest.hookimpl(trylast=True)
    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """A test for each defect, and the control."""
        from harness.scenario import scenario_of

        scenario = scenario_of(metafunc.definition)
        if scenario is None:
            return
        wanted = [d.id for d in self._defects if self._is_wanted(scenario, d)]
        if wanted:
            ids = [*([PLAIN.id] if self._has_control else []), *wanted]
            metafunc.fixturenames.append("planted")
            metafunc.parametrize("planted", ids, ids=[f"{MARK}{name}" for name in ids], indirect=True)

    def _is_wanted(self, scenario: "ScenarioInfo", defect: Defect) -> bool:
        """Whether this check runs with this defect; what the plan does not know runs with all of its requirement."""
        if self._all_checks:
            return True
        known = self._plan.get(defect.id)
        if known is not None and scenario.check in known.checks | known.others:
            return scenario.check in known.checks
        return bool(set(scenario.requirements) & set(defect.breaks))

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Keep what plants something. One worker runs all of a defect, so that it knows what was found already."""
        defects = {item: defect_of(item) for item in items}
        config.hook.pytest_deselected(items=[item for item in items if defects[item] is None])
        items[:] = [item for item in items if defects[item] is not None]
        items.sort(key=_has_own_server)
        for item in items:
            group = item.name.partition("[")[0] if defects[item] == PLAIN.id else defects[item]
            item.add_marker(pytest.mark.xdist_group(group))

    @pytest.hookimpl(wrapper=True)
    def pytest_bdd_before_scenario(self, request: pytest.FixtureRequest) -> Generator[None, None, None]:
        """Plant, once the scenario has its server."""
        yield
        request.getfixturevalue("world")
        defect = DEFECTS.get(request.getfixturevalue("planted"))
        if defect is not None:
            self._fired.write_bytes(b"")
            request.node.stash[WIRE] = self.saboteur.plant(defect)

    @pytest.hookimpl(wrapper=True)
    def pytest_bdd_after_scenario(self) -> Generator[None, None, None]:
        """Lift, whatever the judgement is."""
        if (wire := self.saboteur.planted) is not None:
            wire.fired += self._fired.stat().st_size
        self.saboteur.lift()
        yield

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Say how often it has fired, and whether a step has found it or a rule that holds for everything."""
        from harness.scenario import scenario_of
        from harness.stash import FAILED_STEP

        report = yield
        told = getattr(report, "verdict", None)
        wire = item.stash.get(WIRE, None)
        scenario = scenario_of(item)
        if told is None or scenario is None:
            return report
        shown = {"fired": wire.fired if wire else 0, "by_step": int(FAILED_STEP in item.stash)}
        told["figures"] = {**told.get("figures", {}), **shown}
        if wire is not None and wire.broken:
            told |= {"outcome": str(Outcome.UNKNOWN), "message": f"the defect itself is broken: {wire.broken}"}
        elif wire is not None and wire.fired and told["outcome"] in FOUND_IT:
            self._found.add((scenario.check, wire.defect.id))
            self._learn(scenario, wire.defect, told)
        return report

    def _learn(self, scenario: "ScenarioInfo", defect: Defect, told: dict[str, Any]) -> None:
        if told["outcome"] != Outcome.NOT_TESTABLE:
            named = {*scenario.requirements, *(violation["req"] for violation in told["violations"])}
            self._found_by_own |= {defect.id} if named & set(defect.breaks) else set()
            self._worked |= {scenario.check} if told["figures"]["by_step"] else set()

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Leave out what would show the same again."""
        from harness.scenario import scenario_of

        scenario, defect = scenario_of(item), defect_of(item)
        if scenario is None:
            return
        if (scenario.check, defect) in self._found:
            raise NotApplicableError(FOUND)
        if self._is_brief and defect in self._found_by_own and scenario.check in self._worked:
            raise NotApplicableError(ENOUGH)

    def pytest_unconfigure(self) -> None:
        """Go away."""
        self.saboteur.close()
        self._folder.cleanup()


@pytest.fixture
def planted(request: pytest.FixtureRequest) -> str:
    """The id of the defect that this test plants."""
    return str(request.param)


def _has_own_server(item: pytest.Item) -> bool:
    """It starts a server that no other scenario can use: such come last, where they may not be needed any more."""
    from pytest_bdd.scenario import scenario_wrapper_template_registry

    template = scenario_wrapper_template_registry[item.function]  # type: ignore[attr-defined]  # of a function
    return any(OWN_SERVER.match(step.name) for step in template.steps)


def defect_of(item: pytest.Item) -> str | None:
    """The id of the defect of a test; `none` for the control."""
    found: str | None = getattr(item, "callspec", None) and item.callspec.params.get("planted")  # type: ignore[attr-defined]
    return found

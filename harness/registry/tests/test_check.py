"""What a check is follows from its names and its requirements, wherever it stands."""

import json
import os
import signal
from typing import Any

import pytest

from harness.conform import Selection, run
from harness.registry.check import ID, PROFILES, require_id, severity_of, slug
from harness.report.result import Planned, Result

pytest_plugins = ("pytester",)

PLUGIN = ("-p", "harness.pytest_plugin", "--import-mode=importlib", "-p", "no:cacheprovider", "--collect-only")
SCENARIOS = {
    "first": '  @ORCH-3006\n  Scenario: the "first" of them\n    Given nothing\n',
    "second": "  @core\n  Scenario: the server's second\n    Given nothing\n",
}


BOUND = """
from pytest_bdd import given, scenarios

@given("nothing")
def nothing(): pass

scenarios("a.feature")
"""


class Plan:
    """Keeps what a run would do."""

    def __init__(self) -> None:
        self.result = Result()

    def take(self, event: dict[str, Any]) -> None:
        self.result.take(event)

    def close(self, exit_code: int, log: str) -> None:
        """Nothing is left to do."""


def planned(pytester: pytest.Pytester, order: list[str]) -> dict[str, Planned]:
    """The checks of a feature whose scenarios stand in this order, by id."""
    feature = "@ORCH-2001\nFeature: Some [things]\n" + "".join(SCENARIOS[name] for name in order)
    pytester.path.joinpath("a.feature").write_text(feature, encoding="utf-8")
    pytester.makepyfile(test_a=BOUND)
    events, before = pytester.path / "events", signal.getsignal(signal.SIGTERM)
    descriptor = os.open(events, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)  # the run closes it, and takes SIGTERM
    pytester.runpytest_inprocess(*PLUGIN, "--events-fd", str(descriptor))
    signal.signal(signal.SIGTERM, before)
    found = Plan()
    for line in events.read_text(encoding="utf-8").splitlines():
        found.take(json.loads(line))
    return {check.check: check for check in found.result.planned.values()}


def test_the_plan_of_the_features_has_checks_as_the_registry_wants_them() -> None:
    """Ids of the form, each of one title; severities and profiles that there are."""
    plan = Plan()

    assert 0 == run(Selection(is_dry=True), [plan])

    found = list(plan.result.planned.values())
    titles = {(check.feature, check.title.partition(" [")[0]) for check in found}
    assert len(found) > 300
    assert len(titles) == len({check.check for check in found})
    assert all(ID.fullmatch(check.check) and check.requirements for check in found)
    assert {"MUST", "SHOULD"} == {check.severity for check in found}
    assert all("full" in check.profiles and set(check.profiles) <= set(PROFILES) for check in found)


@pytest.mark.req("OC-TEST-7023")
@pytest.mark.parametrize(
    ("selection", "disturbs"),
    [
        pytest.param(Selection(is_dry=True), True, id="a-server-of-ours"),
        pytest.param(Selection(url="http://127.0.0.1:1", is_dry=True), False, id="a-url"),
        pytest.param(Selection(url="http://127.0.0.1:1", is_dry=True, disturb=True), True, id="told-otherwise"),
        pytest.param(Selection(is_dry=True, disturb=False), False, id="told-not-to"),
    ],
)
def test_a_server_that_runs_is_disturbed_only_when_told_to(selection: Selection, *, disturbs: bool) -> None:
    plan = Plan()

    run(selection, [plan])

    found = {check.disturbs for check in plan.result.planned.values()}
    assert ({True, False} if disturbs else {False}) == found


@pytest.mark.req("OC-TEST-7022")
def test_severity_is_the_strongest_of_the_requirements() -> None:
    assert "MUST" == severity_of(["MAY", "MUST", "SHOULD"])
    assert "SHOULD" == severity_of(["MAY", "SHOULD"])
    assert "MUST" == severity_of([])


@pytest.mark.req("OC-TEST-7022")
@pytest.mark.parametrize("text", ["one", "A/b", "a//b", "a/b c", "a/-b", "/a", ""])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no id of a check"):
        require_id(text)


def test_a_title_becomes_an_id() -> None:
    assert "a-tasks-end" == slug('A task\'s "end"')


@pytest.mark.req("OC-TEST-7022")
def test_where_a_scenario_stands_changes_nothing(pytester: pytest.Pytester) -> None:
    there, here = planned(pytester, ["first", "second"]), planned(pytester, ["second", "first"])

    assert there == here
    assert {"some-things/the-first-of-them", "some-things/the-servers-second"} == set(here)
    assert ("core", "full") == here["some-things/the-servers-second"].profiles
    assert "MUST" == here["some-things/the-first-of-them"].severity

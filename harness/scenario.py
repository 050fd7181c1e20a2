"""What is known of a scenario before it runs."""

from dataclasses import dataclass

import pytest
from pytest_bdd.scenario import scenario_wrapper_template_registry

from harness import requirements
from harness.registry.check import Check, severity_of, slug


@dataclass(frozen=True, slots=True)
class ScenarioInfo:
    """One scenario, or one row of an outline.

    Attributes:
        id: pytest's node id.
        check: the id of its check, which all rows of an outline share.
        title: with the row, where there is one: `a bad body [not-json-INVALID_PARAMS]`.
        feature: the feature's name.
    """

    id: str
    check: str
    title: str
    feature: str
    requirements: tuple[str, ...]
    severity: str
    profiles: tuple[str, ...]
    disturbs: bool


def scenario_of(item: pytest.Item) -> ScenarioInfo | None:
    """The scenario that a test is bound to; None when it is an ordinary test."""
    function = getattr(item, "function", None)
    template = scenario_wrapper_template_registry.get(function) if function is not None else None
    if template is None:
        return None
    _, bracket, row = item.name.partition("[")
    check = check_of(item, template.feature.name or "", template.name)
    return ScenarioInfo(
        id=item.nodeid,
        check=check.id,
        title=f"{template.name} [{row}" if bracket else template.name,
        feature=template.feature.name or "",
        requirements=check.requirements,
        severity=check.severity,
        profiles=tuple(sorted(check.profiles)),
        disturbs=check.disturbs,
    )


def check_of(item: pytest.Item, feature: str, title: str) -> Check:
    """The check that a test is, by its marks: `req`, `profile`, `disturbs`."""
    ids = {identifier for mark in item.iter_markers("req") for identifier in mark.args}
    known = requirements.load()
    return Check(
        id=f"{slug(feature)}/{slug(title)}",
        requirements=tuple(sorted(ids)),
        severity=severity_of(known[identifier].level for identifier in ids if identifier in known),
        profiles=frozenset({"full", *(name for mark in item.iter_markers("profile") for name in mark.args)}),
        disturbs=item.get_closest_marker("disturbs") is not None,
    )

"""What is known of a scenario before it runs."""

from dataclasses import dataclass

import pytest
from pytest_bdd.scenario import scenario_wrapper_template_registry


@dataclass(frozen=True, slots=True)
class ScenarioInfo:
    """One scenario, or one row of an outline.

    Attributes:
        id: pytest's node id.
        title: with the row, where there is one: `a bad body [not-json-INVALID_PARAMS]`.
        feature: the feature's name.
    """

    id: str
    title: str
    feature: str
    requirements: tuple[str, ...]


def scenario_of(item: pytest.Item) -> ScenarioInfo | None:
    """The scenario that a test is bound to; None when it is an ordinary test."""
    function = getattr(item, "function", None)
    template = scenario_wrapper_template_registry.get(function) if function is not None else None
    if template is None:
        return None
    _, bracket, row = item.name.partition("[")
    ids = {identifier for mark in item.iter_markers("req") for identifier in mark.args}
    return ScenarioInfo(
        id=item.nodeid,
        title=f"{template.name} [{row}" if bracket else template.name,
        feature=template.feature.name or "",
        requirements=tuple(sorted(ids)),
    )

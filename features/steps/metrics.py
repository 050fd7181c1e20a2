"""Metrics: the contract, and what the scenario has moved in them."""

from pytest_bdd import parsers, then, when

from features.steps.world import World
from harness.checks import metrics as rules
from harness.expect import assert_status, require

OPENMETRICS = "application/openmetrics-text"


@when("the metrics are read")
def the_metrics_are_read(world: World) -> None:
    world.notes["scrape"] = world.scrape()


@when("the metrics are read as OpenMetrics")
def the_metrics_are_read_as_openmetrics(world: World) -> None:
    accept = f"{OPENMETRICS}; version=1.0.0"
    world.answers.append(world.client.request("GET", "/metrics", headers={"Accept": accept}))


@then("they are as the metrics contract has them")
def they_are_as_agreed(world: World) -> None:
    scrape, contract = world.notes["scrape"], rules.series_contract()
    require(violation for check in rules.CHECKS for violation in check(scrape, contract))
    assert world.before is not None
    require(rules.counters_never_fall(world.before, scrape))


@then("they are OpenMetrics text")
def they_are_openmetrics(world: World) -> None:
    assert_status(world.answer, 200, req="OC-CTRL-2051")
    assert (world.answer.header("content-type") or "").startswith(OPENMETRICS), world.answer.header("content-type")
    assert rules.parse_openmetrics(world.answer.body.decode()).samples


@then(parsers.re(r"(?P<name>[a-z_]+) has grown by (?P<count>\d+)$"))
def it_has_grown_by(world: World, name: str, count: str) -> None:
    assert int(count) == world.grown(name)


@then(parsers.re(r"(?P<name>[a-z_]+) has grown by what its end counts$"))
def it_has_grown_by_its_end(world: World, name: str) -> None:
    (end,) = world.stream("task").of("end")
    assert end.payload[name.removesuffix("_total")] == world.grown(name)


@then(parsers.re(r"(?P<name>tasks_(?:rejected|failed)_total) has grown by (?P<count>\d+) for (?P<code>[A-Z_]+)$"))
def it_has_grown_for_a_code(world: World, name: str, count: str, code: str) -> None:
    assert int(count) == world.grown(name, reason=code)


@then(parsers.parse("queue_depth is {interactive:d} for interactive and {batch:d} for batch"))
def queue_depth_is(world: World, interactive: int, batch: int) -> None:
    scrape = world.scrape()
    depths = [int(scrape.total("queue_depth", priority=lane)) for lane in ("interactive", "batch")]
    assert [interactive, batch] == depths

"""Models that are not here, and may or may not be fetched."""

import json
from dataclasses import replace

from pytest_bdd import given, parsers, then

from features.steps.drains import health
from features.steps.world import ANSWER_MS, World
from harness.target import pool_settings


@given(parsers.parse('a server whose model "{model}" is missing, under {rules}'))
def a_server_without_its_model(world: World, model: str, rules: str) -> None:
    """Its engine would be one of ours: what is missing is found out before that is even looked for."""
    pool = {"model_ref": "missing", "model": {"source": model}}
    replica = {"kind": "supervised", "binary": "/bin/false"}
    settings = pool_settings(pool, replica, outbound=json.loads(rules), experimental_cpu=True)
    target = world.servers.start(settings, has_own_cache=True)
    world.use(target, serving=replace(world.service, model_ref="missing", engine="llamacpp", pool_id="default"))
    world.is_own = True
    world.wait(lambda: health(world).get("last_error"), what="a reason in the pool's health", deadline_ms=ANSWER_MS)


@then(parsers.parse("the refusal came within {within_ms:d} ms"))
def the_refusal_came_within(world: World, within_ms: int) -> None:
    took_ms = world.answer.answered_ms - world.answer.sent_ms
    world.judge(world.watches["task"], within_ms, what="the refusal", figure="refusal_ms", took_ms=took_ms)


@then(parsers.parse('the health of the pool says "{why}"'))
def the_health_names(world: World, why: str) -> None:
    assert why in health(world).get("last_error", ""), health(world)

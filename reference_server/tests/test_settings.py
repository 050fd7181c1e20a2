"""A configuration read anew reaches what runs, as a whole or not at all."""

import json
import os
import signal
from dataclasses import replace as with_fields
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from reference_server.config import Config, Current, MockEngine, Pool
from reference_server.config_file import parse
from reference_server.domain.core import Core
from reference_server.domain.pool import Pool as DomainPool
from reference_server.domain.retention import Retention
from reference_server.domain.sessions import Sessions
from reference_server.domain.tests import builders
from reference_server.policy.outbound import Request, decide
from reference_server.provision import network
from reference_server.runtime.readers import Readers
from reference_server.settings import CHANGEABLE, NeedsRestartError, Running, differences, take_over
from reference_server.tests.test_serve import call, server

BEFORE = parse("pools: [{id: p}]", name="before")


def running() -> Running:
    core = Core(
        [builders.pool()],
        sessions=Sessions(ttl_ms=600_000, turns_max=8, sessions_max=10_000),
        retention=Retention(ttl_ms=600_000, tasks_max=10_000, bytes_max=1 << 28),
    )
    return Running(current=Current(BEFORE), core=core, readers=Readers(per_task_max=64), watchdogs={})


def shown(of: Running) -> object:
    """All that a reload may change."""
    pool = of.core.pools["p"]
    return (
        (pool.bounds, pool.queue.bounds, pool.prices, pool.reload_drain_ms, dict(of.watchdogs), pool.service_level),
        {name: value for name, value in vars(of.core.sessions).items() if name != "_by_id"},
        {name: value for name, value in vars(of.core.retention).items() if name != "_ended"},
        (of.core.limits, of.readers.per_task_max, of.current.config),
    )


NEW = {
    "pools[p].queue.capacity_batch": "pools: [{id: p, queue: {capacity_batch: 7}}]",
    "pools[p].queue.full_policy": "pools: [{id: p, queue: {full_policy: drop-lru}}]",
    "pools[p].watchdog.wall_ms": "pools: [{id: p, watchdog: {wall_ms: 7}}]",
    "pools[p].prices.out_per_1k": "pools: [{id: p, prices: {out_per_1k: 7}}]",
    "pools[p].reload_drain_ms": "pools: [{id: p, reload_drain_ms: 7}]",
    "pools[p].service_level.queue_ms": "pools: [{id: p, service_level: {queue_ms: 7}}]",
    "sessions.ttl_ms": "{pools: [{id: p}], sessions: {ttl_ms: 7}}",
    "sessions.turns_max": "{pools: [{id: p}], sessions: {turns_max: 7}}",
    "sessions.budget.tokens": "{pools: [{id: p}], sessions: {budget: {tokens: 7}}}",
    "token_limits.tasks_per_s": "{pools: [{id: p}], token_limits: {tasks_per_s: 7}}",
    "token_limits.open_tasks_max": "{pools: [{id: p}], token_limits: {open_tasks_max: 7}}",
    "retention.bytes_max": "{pools: [{id: p}], retention: {bytes_max: 7}}",
    "http.readers_per_task_max": "{pools: [{id: p}], http: {readers_per_task_max: 7}}",
    "http.keep_alive_ms": "{pools: [{id: p}], http: {keep_alive_ms: 7}}",
}


@pytest.mark.req("OC-CONFIG-6006")
@pytest.mark.parametrize("field", NEW)
def test_each_limit_reaches_what_runs(field: str) -> None:
    subject = running()
    before = repr(shown(subject))

    (change,) = take_over(parse(NEW[field], name="new"), subject)

    assert (field, change.now) in {(change.field, 7), (change.field, 7.0), (change.field, "drop-lru")}
    assert before != repr(shown(subject))
    without_config = repr(shown(with_fields(subject, current=Current(BEFORE))))
    assert field.startswith("http.keep") or before != without_config


@pytest.mark.req("OC-CONFIG-6006", "OC-CONFIG-6030")
def test_outbound_rules_that_changed_count_for_the_next_connection() -> None:
    subject = running()
    asked = Request(purpose="model", scheme="https", host="a.example", port=443)
    was = decide(asked, network.snapshot_of(subject.current.config.outbound))

    take_over(parse("{pools: [{id: p}], outbound: {deny: [a.example]}}", name="new"), subject)

    assert was.is_allowed
    assert not decide(asked, network.snapshot_of(subject.current.config.outbound)).is_allowed


@pytest.mark.req("OC-CONFIG-6006")
@pytest.mark.parametrize(
    ("new", "named"),
    [
        (replace(BEFORE, port=1, retention=replace(BEFORE.retention, ttl_ms=1)), "port"),
        (replace(BEFORE, pools=(replace(BEFORE.pools[0], replicas=(MockEngine(slots=9),)),)), "pools[p].replicas"),
        (replace(BEFORE, pools=(*BEFORE.pools, Pool(id="q", model_ref="other"))), "pools[q].id"),
        (replace(BEFORE, pools=(Pool(id="q"),)), "pools[p].id"),
        (replace(BEFORE, http=replace(BEFORE.http, body_bytes_max=9)), "http.body_bytes_max"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_needs_a_restart_is_named_and_nothing_changes(new: Config, named: str) -> None:
    subject = running()
    before = repr(shown(subject))

    with pytest.raises(NeedsRestartError) as caught:
        take_over(new, subject)
    assert named in str(caught.value)
    assert before == repr(shown(subject))


@pytest.mark.req("OC-CONFIG-6006")
def test_every_changeable_pattern_fits_a_field() -> None:
    fields = [change.field for change in differences(replace(BEFORE, pools=(Pool(id="other"),)), BEFORE)]
    fields += [f"{section}.{name}" for section, inner in msgspec.to_builtins(BEFORE).items() for name in names(inner)]
    from fnmatch import fnmatchcase

    assert [] == [p for p in CHANGEABLE if not any(fnmatchcase(field, p) for field in fields)]


def names(section: Any) -> list[str]:
    return list(section) if isinstance(section, dict) else []


@pytest.mark.req("OC-CONFIG-6006")
@given(ttl_ms=st.integers(1, 600_000))
def test_sessions_that_live_get_the_new_time_to_live(ttl_ms: int) -> None:
    sessions = Sessions(ttl_ms=1_000, turns_max=8, sessions_max=10)
    sessions.take_turn("a", 0, pool_id="p")
    sessions.take_turn("b", 100, pool_id="p")
    sessions.limit(ttl_ms=ttl_ms, turns_max=8, sessions_max=10, budget=builders.NO_BUDGET)

    assert sessions.get("a", ttl_ms - 1) is not None
    assert sessions.get("a", ttl_ms) is None
    assert sessions.get("b", ttl_ms + 100) is None


@pytest.mark.req("OC-CONFIG-6006", "OC-CONFIG-6004")
def test_on_sighup_a_server_takes_over_a_good_file_and_goes_on_after_a_bad_one(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("token_limits: {open_tasks_max: 5}")
    with server("--config", str(file)) as (process, url):
        assert process.stderr is not None
        said = []
        for text in (
            "token_limits: {open_tasks_max: 6}",
            "token_limits: {open_tasks_max: none}",
            "{port: 1, token_limits: {open_tasks_max: 7}}\n# the port is given by --port, which goes on to count",
            "pools: [{id: other}]",
        ):
            file.write_text(text)
            os.kill(process.pid, signal.SIGHUP)
            line: dict[str, Any] = {}
            while not str(line.get("event")).startswith("configuration"):
                line = json.loads(process.stderr.readline())
            limits = json.loads(call(f"{url}/v1/capabilities"))["engines"][0]["rate_limits"]
            said.append((line["event"], limits["open_tasks_max"], str(line.get("last_error", line.get("changes")))))

    good, bad, pinned, fixed = said
    assert ("configuration reloaded", 6) == good[:2]
    assert "token_limits.open_tasks_max" in good[2]
    assert ("configuration not reloaded", 6) == bad[:2]
    assert f"{file}:1: token_limits.open_tasks_max" in bad[2]
    assert ("configuration reloaded", 7) == pinned[:2]
    assert ("configuration not reloaded", 7) == fixed[:2]
    assert "needs a restart" in fixed[2]


@pytest.mark.req("ORCH-3033", "OC-CONFIG-6006")
def test_a_configuration_without_the_canary_sends_its_tasks_back() -> None:
    canary = "{id: p, canary: {pool: q, share: 1.0}}"
    with_canary, without = (
        parse(f"pools: [{pool}, {{id: q, model_ref: m2}}]", name="c") for pool in (canary, "{id: p}")
    )
    pools = [builders.pool(), builders.pool()]
    pools[1].id, pools[1].model_ref = "q", "m2"
    subject = replace_core(running(), pools)
    subject.current.config = without
    asked, routes = builders.request(), []

    for config in (with_canary, without, with_canary):
        take_over(config, subject)
        routes.append(subject.core.route(asked, 0).id)

    assert ["q", "p", "q"] == routes


def replace_core(of: Running, pools: list[DomainPool]) -> Running:
    """The same with other pools, all Ready."""
    core = Core(pools, sessions=of.core.sessions, retention=of.core.retention)
    for pool in pools:
        core.replica_preloaded(pool.id, "r0", builders.FACTS, 0)
    return with_fields(of, core=core)

"""Canaries: a pool that tries a new version on a part of the tasks of another one."""

from typing import Any

from pytest_bdd import given, parsers, then, when

from features.steps.drains import drain
from features.steps.world import World
from harness.client import fresh_id
from harness.expect import assert_ended_well, assert_status
from harness.outcome import NotApplicableError
from harness.target import Settings

POOLS = {"stable": "default", "canary": "next"}
LABEL = "trial"


@given(parsers.parse("a server whose canary takes a share of {share:f}"))
def a_server_with_a_canary(world: World, share: float) -> None:
    world.use(world.servers.get(_two_pools(world, share=share)))


@given(parsers.parse('a server whose canary takes the label "{label}"'))
def a_server_with_a_labelled_canary(world: World, label: str) -> None:
    world.use(world.servers.get(_two_pools(world, label=label)))


@given("a server of its own whose canary takes everything")
def a_server_whose_canary_takes_everything(world: World) -> None:
    world.use_own(world.servers.start(_two_pools(world, share=1.0, label=LABEL)))


@when(parsers.re(r"(?P<sessions>\d+) sessions have (?P<tasks>\d+) tasks? each"))
def sessions_have_tasks(world: World, sessions: str, tasks: str) -> None:
    """Each task after the end of the one before."""
    for _ in range(int(sessions)):
        session_id = fresh_id()
        for _ in range(int(tasks)):
            _run(world, session_id=session_id)


@when(parsers.parse('a task with the label "{label}" is read to its end'))
def a_task_with_a_label(world: World, label: str) -> None:
    _run(world, label=label)


@when("a task without a label is read to its end")
def a_task_without_a_label(world: World) -> None:
    _run(world)


@when(parsers.parse("the canary is drained within {deadline_ms:d} ms"))
def the_canary_is_drained(world: World, deadline_ms: int) -> None:
    drain(world, {"deadline_ms": deadline_ms}, pool_id=POOLS["canary"])
    assert_status(world.answer, 202, req="ORCH-2101")


@then(parsers.parse("all of them ran in the {side} pool"))
def all_ran_in(world: World, side: str) -> None:
    ran = world.notes["ran"]
    assert {POOLS[side]} == {pool_id for _, pool_id in ran}, ran


@then(parsers.parse("it ran in the {side} pool"))
def it_ran_in(world: World, side: str) -> None:
    assert POOLS[side] == _pool_of(world, "task")


@then("each session stayed in one pool, and both pools had some")
def each_session_stayed(world: World) -> None:
    pools: dict[str, set[str]] = {}
    for session_id, pool_id in world.notes["ran"]:
        pools.setdefault(session_id, set()).add(pool_id)
    assert [1] * len(pools) == [len(of_one) for of_one in pools.values()], pools
    assert set(POOLS.values()) == set().union(*pools.values()), pools


@then(
    parsers.re(
        r'it shows a canary with a share of (?P<share>[\d.]+) and the label "(?P<label>\w+)" that takes (?P<what>\w+)'
    )
)
def it_shows_a_canary(world: World, share: str, label: str, what: str) -> None:
    wanted = {"pool_id": POOLS["canary"], "share": float(share), "label": label, "ready": what == "work"}
    assert wanted == world.answer.json.get("canary"), world.answer.json


def _run(world: World, *, session_id: str | None = None, **changes: Any) -> None:
    """Run a task to its end, and note its session and the pool that it told."""
    ran: list[tuple[str, str]] = world.notes.setdefault("ran", [])
    name, session_id = f"tried {len(ran)}", session_id or fresh_id()
    answer = world.submit(name, world.body(session_id=session_id, **changes))
    assert_status(answer, 202, req="OC-POOL-3018")
    assert_ended_well(world.read_to_end(name))
    ran.append((session_id, _pool_of(world, name)))


def _pool_of(world: World, name: str) -> str:
    return str(world.stream(name).of("started")[0].payload["pool_id"])


def _two_pools(world: World, **canary: Any) -> Settings:
    """A pool, and its canary with another model."""
    if world.servers.replica is not None:
        raise NotApplicableError("a second version of a real engine is not there")
    stable = {"id": POOLS["stable"], "replicas": [{"kind": "mock"}], "canary": {"pool": POOLS["canary"], **canary}}
    return {"pools": [stable, {"id": POOLS["canary"], "model_ref": "next", "replicas": [{"kind": "mock"}]}]}

"""Abilities: what a server claims, tried; and what it does not claim, tried as well."""

from dataclasses import dataclass
from typing import Any

from pytest_bdd import parsers, then, when

from features.steps.variants import WORKLOADS
from features.steps.world import END_MS, World
from harness.checks.violation import Violation
from harness.expect import ViolationError, assert_error, require
from harness.history import Exchange


@dataclass(frozen=True)
class Trial:
    """One task that asked for an ability.

    Attributes:
        what: the ability, in words.
    """

    name: str
    what: str
    is_claimed: bool
    answer: Exchange


@when(parsers.re(r"a task for (?P<workload>[a-z]+) is tried on every engine"))
def a_workload_is_tried(world: World, workload: str) -> None:
    for number, row in enumerate(_rows(world)):
        is_claimed = workload in row["supported_workloads"]
        changes = {"workload": workload, **WORKLOADS.get(workload, {})}
        _try(world, f"trial {number}", f"{workload} on {row['engine']}", row, is_claimed=is_claimed, **changes)


@when(parsers.parse("a task is tried on the engine {engine}"))
def an_engine_is_tried(world: World, engine: str) -> None:
    """For the model that it serves; for the model of another engine where it is not claimed."""
    rows = _rows(world)
    own = [row for row in rows if row["engine"] == engine and "completion" in row["supported_workloads"]]
    row = (own or rows)[0]
    _try(world, "trial", f"the engine {engine}", row, is_claimed=bool(own), engine=engine)


@when("as many long tasks are submitted as slots are declared")
def all_slots_are_asked_for(world: World) -> None:
    for number in range(world.service.slots):
        world.admit(f"slot {number}", world.long_body())


@then("it works where it is claimed, and is refused where it is not")
def claims_are_true(world: World) -> None:
    tried: list[Trial] = world.notes["tried"]
    assert tried, "the server claims no engine"
    for trial in tried:
        if trial.is_claimed:
            _require_works(world, trial)
        else:
            assert_error(trial.answer, "INVALID_PARAMS")


@then("all of them run at the same time")
def all_run(world: World) -> None:
    names = [name for name in world.bodies if name.startswith("slot")]
    states = {"none"}

    def are_running() -> bool:
        states.clear()
        states.update(world.state(name) for name in names)
        return "queued" not in states

    world.wait(are_running, what=f"{len(names)} declared slots to work", deadline_ms=END_MS)
    for name in names:
        world.require_long(name)
    assert {"running"} == states


def _rows(world: World) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = world.target.capabilities()["engines"]
    return rows


def _try(world: World, name: str, what: str, row: dict[str, Any], *, is_claimed: bool, **changes: Any) -> None:
    body = {"engine": row["engine"], "model_ref": row.get("model_ref", "default"), "ctx": row["ctx_max"], **changes}
    answer = world.submit(name, world.body(**body))
    world.notes.setdefault("tried", []).append(Trial(name, what, is_claimed, answer))


def _require_works(world: World, trial: Trial) -> None:
    """It was admitted, and came to its end."""
    if trial.answer.status != 202:
        text = f"{trial.what} to work, for capabilities claim it"
        raise ViolationError([Violation("ORCH-3095", text, f"status {trial.answer.status}", str(trial.answer))])
    stream = world.read_to_end(trial.name)
    last = stream.terminal.event if stream.terminal is not None else "nothing"
    found = [] if last == "end" else [Violation("ORCH-3095", f"{trial.what} to end well", last, str(stream))]
    require(found)

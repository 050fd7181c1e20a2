"""Every fault that a scenario injects, and whether it has happened, as what injects it has seen. No steps.

No other step may break anything by itself (`features/tests/test_faults_are_told.py`): so none can forget to say.

Source: OC-TEST-7020, OC-TEST-7036.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from features.steps.world import World
from harness import raw
from harness.outcome import HangError, NotApplicableError
from harness.stream_reader import StreamReader
from harness.target import pool_settings

FAULTS = (
    *("die_after_tokens", "fail_after_tokens", "stall_after_tokens", "defect_after_tokens"),
    *("busy_requests", "refused_requests"),
)
"""What a stand-in can be told to do wrong."""

NO_MODEL = Path("/nowhere/model.gguf")
LOGGED_MS = 10_000  # for the way of a line to the file, after the frame that came of it
GO_AWAY_TRIES = 20  # a server may be quicker than we are away


def use_failing(world: World, *replicas: dict[str, Any], is_own: bool = False, **pool: Any) -> None:
    """Speak to a server on stand-ins of which some fail; the scenario shows something once each of those has."""
    _require_stand_ins(world)
    settings = {"pools": [{**pool, "replicas": [{"kind": "mock", **replica} for replica in replicas]}]}
    if is_own:
        world.use_own(world.servers.start(settings))
    else:
        world.use(world.servers.get(settings))
    for fault in FAULTS:
        if count := sum(fault in replica for replica in replicas):
            _expect_logged(world, fault, count)


def use_without_model(world: World) -> None:
    """Speak to a server whose pool names a file that is not there."""
    _require_stand_ins(world)
    missing = f"file:{NO_MODEL}"
    target = world.servers.get(pool_settings({"model_ref": missing}, {"kind": "mock"}))
    world.use(target, serving=replace(world.service, model_ref=missing, pool_id="default"))
    world.history.expect_fault(f"no file {NO_MODEL}", lambda: not NO_MODEL.exists())


def leave(world: World, reader: StreamReader, how: Literal["close", "reset"] = "close") -> None:
    """A reader goes away; that counts where its stream has not ended by then."""
    left = _leaves_open(reader, how)
    world.history.expect_fault("a reader left before the end of its stream", lambda: left)


def come_and_leave(world: World, name: str, count: int) -> None:
    """Readers of a task come and leave, each after another while; one of them has to have left before the end."""
    left = []
    for number in range(count):
        reader = world.client.start_stream(world.task_id(name))
        if number % 3:
            world.client.pump(wait_ms=number)
        left.append(_leaves_open(reader, "reset" if number % 2 else "close"))
    world.history.expect_fault("a reader left before the end of its stream", lambda: any(left))


def go_away(world: World, request: bytes) -> None:
    """Send a request, or a part of one, and go away; where the server was quicker, once more."""
    went = any(raw.go_away(world.client.url, request) for _ in range(GO_AWAY_TRIES))
    world.history.expect_fault("a client went away before it was answered", lambda: went)


def stop(world: World) -> None:
    """Tell the server to stop, by a signal; one that has ended already is told nothing."""
    process = world.target.process
    assert process is not None
    ran = process.exit_code is None
    process.terminate()
    world.history.expect_fault("the server ran when it was told to stop", lambda: ran)


def _require_stand_ins(world: World) -> None:
    if world.servers.replica is not None:
        raise NotApplicableError("a real engine does not fail on demand")


def _leaves_open(reader: StreamReader, how: Literal["close", "reset"]) -> bool:
    reader.pump()  # the end may be here, unread
    reader.leave(how)
    return reader.record.end == "left"


def _expect_logged(world: World, fault: str, count: int) -> None:
    """A stand-in writes each fault that it injects into its server's log; it may have failed others before us."""
    process = world.target.process
    assert process is not None

    def logged() -> int:
        return process.stderr.read_text(encoding="utf-8", errors="replace").count(f"fault injected: {fault}")

    before = logged()

    def has_happened() -> bool:
        try:
            return world.wait(lambda: logged() >= before + count, what=f"{fault} in the log", deadline_ms=LOGGED_MS)
        except HangError:
            return False

    world.history.expect_fault(f"{fault} of a stand-in, {count} times", has_happened)

"""What a scenario builds on: a task that it wants to see running, and that has ended by itself."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from features.steps.disconnects import a_task_to_cancel
from features.steps.tasks import a_long_task_with_a_deadline, a_running_task, every_slot_is_busy
from features.steps.world import PROMPT_TOKENS, World
from harness.history import History
from harness.lateness import Stopwatch
from harness.outcome import HangError, LateError, NotTestableError
from harness.service import Service

SERVICE = Service(engine="vllm", model_ref="default", ctx_max=512, slots=1, pool_id="default", features={})
TOKENS = SERVICE.ctx_max - PROMPT_TOKENS  # of a long task


class Stopped(Stopwatch):
    """One that shows these times for ever."""

    def __init__(self, elapsed_ms: float, late_ms: float) -> None:
        super().__init__()
        self._shown = elapsed_ms, late_ms

    @property
    def elapsed_ms(self) -> float:
        return self._shown[0]

    def late_ms(self) -> float:
        return self._shown[1]


class Server:
    """A client of a server that admits every task, and says of all that they are in one state, with so many tokens."""

    def __init__(self, state: str, tokens: int = TOKENS) -> None:
        self.state, self.tokens = state, tokens

    def submit(self, body: dict[str, Any]) -> Any:
        return SimpleNamespace(status=202, json={"task_id": body["task_id"]})

    def status(self, task_id: str) -> Any:
        return SimpleNamespace(status=200, json={"state": self.state, "tokens_out": self.tokens})

    def wait_until(self, condition: Callable[[], object], **_: Any) -> object:
        if value := condition():
            return value
        raise HangError("it did not come")


def world(server: Server) -> World:
    servers = cast("Any", SimpleNamespace(pids=lambda _: ()))
    return World(
        target=cast("Any", None),
        client=cast("Any", server),
        history=History(),
        servers=servers,
        service=SERVICE,
        engine_url=None,
    )


def submitted(*, elapsed_ms: float, late_ms: float, server: Server | None = None) -> World:
    """One that has submitted a long task so long ago, and was late by so much of it."""
    made = world(server or Server("ended"))
    made.bodies["task"] = made.long_body()
    made.watches["task"] = Stopped(elapsed_ms, late_ms)
    return made


@pytest.mark.req("OC-TEST-7097")
def test_an_engine_that_is_too_fast_makes_a_check_not_testable() -> None:
    with pytest.raises(NotTestableError, match=r'task "task" ended before it was seen to run: .* 1000 ms or more'):
        submitted(elapsed_ms=12, late_ms=3).wait_state("task", "running")


@pytest.mark.req("OC-TEST-7097", "OC-TEST-7026")
def test_a_harness_that_came_too_late_to_see_it_run_blames_nobody() -> None:
    with pytest.raises(LateError, match=r"the harness was late by 9000 ms"):
        submitted(elapsed_ms=9_100, late_ms=9_000).wait_state("task", "running")


@pytest.mark.req("OC-TEST-7097")
def test_an_end_that_was_waited_for_is_no_surprise() -> None:
    assert "ended" == submitted(elapsed_ms=12, late_ms=3).wait_state("task", "running", "ended")


@pytest.mark.req("OC-TEST-7097")
@pytest.mark.parametrize(
    ("elapsed_ms", "late_ms", "error"),
    [
        pytest.param(12, 3, NotTestableError, id="at-once"),
        pytest.param(9_100, 9_000, LateError, id="while-the-harness-stood-still"),
    ],
)
def test_a_long_task_takes_its_time(elapsed_ms: float, late_ms: float, error: type[Exception]) -> None:
    """A server that keeps its tokens back until the end is not excused by its engine."""
    submitted(elapsed_ms=8_000, late_ms=3).require_long("task")

    with pytest.raises(error):
        submitted(elapsed_ms=elapsed_ms, late_ms=late_ms).require_long("task")


@pytest.mark.req("OC-TEST-7097")
@pytest.mark.parametrize(
    ("step", "name"),
    [
        pytest.param(every_slot_is_busy, "running 0", id="every-slot-is-busy"),
        pytest.param(a_running_task, "task", id="a-running-task"),
        pytest.param(lambda one: a_long_task_with_a_deadline(one, 9_000), "task", id="a-deadline"),
        pytest.param(lambda one: a_task_to_cancel(one, "running"), "task", id="to-be-canceled-on-disconnect"),
    ],
)
def test_a_step_says_which_task_it_builds_on(step: Callable[[World], None], name: str) -> None:
    server = Server("running")
    made = world(server)
    step(made)

    assert [] == made.history.lost_premises()
    server.state = "ended"
    assert [f'the task "{name}" ended by itself'] == made.history.lost_premises()


@pytest.mark.req("OC-TEST-7097", "OC-TEST-7006")
@pytest.mark.parametrize(
    ("state", "tokens", "elapsed_ms", "late_ms", "is_lost"),
    [
        pytest.param("ended", TOKENS, 1_200, 3, True, id="a-fast-engine"),
        pytest.param("ended", TOKENS, 8_900, 8_000, True, id="a-harness-that-stood-still"),
        pytest.param("ended", TOKENS - 1, 1_200, 3, False, id="a-cancel-that-ends-it-as-if-it-were-whole"),
        pytest.param("ended", TOKENS, 8_900, 300, False, id="a-cancel-that-is-ignored"),
        pytest.param("canceled", TOKENS, 1_200, 3, False, id="canceled"),
        pytest.param("queued", TOKENS, 1_200, 3, False, id="waits"),
    ],
)
def test_only_a_task_that_was_too_short_is_an_excuse(
    state: str, tokens: int, elapsed_ms: float, late_ms: float, *, is_lost: bool
) -> None:
    made = submitted(elapsed_ms=elapsed_ms, late_ms=late_ms, server=Server(state, tokens))
    made.build_on_running("task")

    assert is_lost == bool(made.history.lost_premises())

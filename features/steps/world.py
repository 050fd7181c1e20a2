"""What a scenario holds in its hands: a server, a client, the tasks and streams it has named, and the last answer.

Nothing here knows what kind of server it is: what tasks may ask for is read from its capabilities.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest

from harness.checks.metrics import Scrape, parse
from harness.client import Client, fresh_id
from harness.history import Exchange, History, Stream
from harness.lateness import Stopwatch, require_within
from harness.outcome import UNMET, HangError, LateError, NotTestableError, TooLateError
from harness.service import Service
from harness.stream_reader import StreamReader
from harness.target import Servers, Target

T = TypeVar("T")

ANSWER_MS = 10_000  # for what takes some tokens on the slowest engine
END_MS = 60_000  # for what may take a few hundred tokens on a small CPU
NO_DEADLINE_MS = 24 * 3_600_000  # a deadline that no queue in a test reaches
QUEUE_BOUND = 2_048  # more waiting tasks than any sane pool of one machine holds

SHORT_TOKENS = 8
LONG_MS = 1_000  # what a long task takes at least
SOON_MS = 5_000  # a scenario that does as it should is over by then
LATE_MS = 50  # so late a harness may have missed a task that ran
PROMPT_TOKENS = 80  # room for a prompt: no token of any engine is shorter than a byte
PROMPT = "Numbers: 1, 2, 3, 4, 5, 6, 7, 8, 9,"

# Small models go on with this until they are stopped: none of eight seeds ended before 1200 tokens.
ENDLESS_PROMPT = "0, " * 24


@dataclass
class World:
    """One scenario's state.

    Attributes:
        bodies: every task that was made, by the name the scenario gives it.
        watches: the time since each of them was submitted, by the same name.
        streams: every reader that was opened, by the name of its task; the latest of a name.
        before: the metrics at the beginning of the scenario.
    """

    target: Target
    client: Client
    history: History
    servers: Servers
    service: Service
    engine_url: str | None
    bodies: dict[str, dict[str, Any]] = field(default_factory=dict)
    watches: dict[str, Stopwatch] = field(default_factory=dict)
    streams: dict[str, StreamReader] = field(default_factory=dict)
    answers: list[Exchange] = field(default_factory=list)
    texts: list[list[str]] = field(default_factory=list)
    session_id: str = field(default_factory=fresh_id)
    before: Scrape | None = None
    notes: dict[str, Any] = field(default_factory=dict)
    is_own: bool = False

    @property
    def answer(self) -> Exchange:
        """The last answer that a step asked for."""
        if not self.answers:
            raise NotTestableError("no request was sent yet")
        return self.answers[-1]

    @property
    def admitted(self) -> set[str]:
        """The ids of all tasks that were accepted."""
        told = [e.json for e in self.answers if e.status == 202 and isinstance(e.json, dict)]
        return {str(answer["task_id"]) for answer in told if "task_id" in answer}

    def use(self, target: Target, *, serving: Service | None = None) -> None:
        """Speak to this server from here on; what it serves is asked where it is not said."""
        self.tidy()
        self.target = target
        self.client = Client(target.url, token=target.token, history=self.history, stopwatch=self.stopwatch)
        self.service = serving or Service.of(target.capabilities())
        self.before = self.scrape()

    # ── tasks ──

    def body(self, **changes: Any) -> dict[str, Any]:
        """A valid task that any server of this kind admits, with changes; None takes a field out."""
        task = {
            **self.fresh_ids(),
            "workload": "completion",
            "model_ref": self.service.model_ref,
            "engine": self.service.engine,
            "ctx": self.service.ctx_max,
            "priority": "interactive",
            "max_tokens": SHORT_TOKENS,
            "deadline_ms": NO_DEADLINE_MS,
            "prompt": PROMPT,
            **changes,
        }
        return {name: value for name, value in task.items() if value is not None}

    @staticmethod
    def fresh_ids() -> dict[str, str]:
        """For a task that is another one."""
        return {"task_id": fresh_id(), "session_id": fresh_id()}

    def steady_body(self, tokens: int, **changes: Any) -> dict[str, Any]:
        """A task that is answered with so many tokens, not fewer."""
        return self.body(**{"max_tokens": tokens, "prompt": ENDLESS_PROMPT, "seed": 7, **changes})

    def long_body(self, **changes: Any) -> dict[str, Any]:
        """A task that holds its slot for seconds, until it is canceled."""
        return self.steady_body(self.service.ctx_max - PROMPT_TOKENS, **changes)

    def submit(self, name: str, body: dict[str, Any]) -> Exchange:
        """Submit a task under a name; the answer is the scenario's last answer."""
        self.bodies[name] = body
        self.watches[name] = self.stopwatch()
        answer = self.client.submit(body)
        self.answers.append(answer)
        return answer

    def admit(self, name: str, body: dict[str, Any]) -> Exchange:
        """Submit a task that has to be accepted for the scenario to go on."""
        answer = self.submit(name, body)
        if answer.status != 202:
            raise NotTestableError(f"a task that has to be admitted was not\n{answer}")
        return answer

    def admit_long(self, name: str, **changes: Any) -> Exchange:
        """Admit a task that holds its slot until it is canceled; failures count while it has not ended by itself."""
        answer = self.admit(name, self.long_body(**changes))
        self.build_on_running(name)
        return answer

    def build_on_running(self, name: str) -> None:
        """What fails once this task has ended by itself, and too soon, shows nothing (OC-TEST-7097)."""
        self.history.build_on(f'the task "{name}" ended by itself', lambda: not self._was_too_short(name))

    def require_long(self, name: str) -> None:
        """It has not ended already, so soon after its submission.

        Raises:
            NotTestableError: the engine is too fast for what is asked of a task that takes its time.
        """
        if not self.watches[name].is_over(LONG_MS) and self.state(name) == "ended":
            raise self._too_fast(name)

    def task_id(self, name: str) -> str:
        """The id of a named task."""
        return str(self.bodies[name]["task_id"])

    def state(self, name: str) -> str:
        """The state of a named task now."""
        answer = self.client.status(self.task_id(name))
        return str(answer.json["state"]) if answer.status == 200 else f"status {answer.status}"

    def wait_state(self, name: str, *states: str, deadline_ms: float = ANSWER_MS) -> str:
        """Wait until a named task is in one of these states.

        Raises:
            NotTestableError: it has ended before it was seen in one: the engine is too fast.
            LateError: the same, and the harness was late.
        """
        over = {*states, "ended"}
        what = f"task {name} to be {' or '.join(states)}"
        found = self.wait(lambda: (s := self.state(name)) in over and s, what=what, deadline_ms=deadline_ms) or ""
        if found not in states:
            raise self._too_fast(name)
        return found

    def _was_too_short(self, name: str) -> bool:
        """It has ended, with all its tokens, before the scenario could be over.

        Not one that a server ends for another reason: it has fewer. And not one that ends while the scenario waits for
        something that does not come, a cancel that is ignored: that takes longer, what the harness was late by aside.
        """
        try:
            told = self.client.status(self.task_id(name)).json
        except HangError:
            return False
        if not isinstance(told, dict) or told.get("state") != "ended":
            return False
        has_all = told.get("tokens_out") == self.bodies[name]["max_tokens"]
        return has_all and not self.watches[name].is_over(SOON_MS)

    def _too_fast(self, name: str) -> NotTestableError | LateError:
        late_ms, what = self.watches[name].late_ms(), f'the task "{name}" ended before it was seen to run'
        if late_ms >= LATE_MS:
            return LateError(f"{what}; the harness was late by {late_ms:.0f} ms")
        return NotTestableError(
            f"{what}: for what is asked of running tasks, the engine has to take {LONG_MS} ms or more for as many "
            "tokens as its context holds"
        )

    # ── streams ──

    def open(self, name: str, **how: Any) -> StreamReader:
        """Open a stream of a named task."""
        self.streams[name] = self.client.open_stream(self.task_id(name), **how)
        return self.streams[name]

    def stream(self, name: str) -> Stream:
        """What the latest reader of a named task has got."""
        return self.streams[name].record

    def read_to_end(self, name: str, *, deadline_ms: float = END_MS) -> Stream:
        """Read the stream of a named task to its end, opening it where it is not open."""
        if name not in self.streams:
            self.open(name)
        self.client.read_to_end([self.streams[name]], deadline_ms=deadline_ms)
        return self.stream(name)

    def wait_tokens(self, name: str, count: int) -> None:
        """Read until so many tokens of a named task have come."""
        stream = self.stream(name)
        self.wait(lambda: len(stream.tokens) >= count or stream.end, what=f"{count} tokens", deadline_ms=END_MS)
        if len(stream.tokens) < count:
            raise NotTestableError(f"the task ended before its token {count}: {stream.told()}")

    # ── the server ──

    def wait(self, condition: Callable[[], T], *, what: str, deadline_ms: float = ANSWER_MS) -> T:
        """Wait for a condition, reading streams meanwhile."""
        return self.client.wait_until(condition, deadline_ms=deadline_ms, what=what)

    def stopwatch(self) -> Stopwatch:
        """Takes a time from here on; what we have started and it depends on counts as ours."""
        return Stopwatch(self.servers.pids(self.target))

    def wait_within(self, condition: Callable[[], T], within_ms: float, *, what: str, figure: str) -> T:
        """Wait for a condition that a sentence gives so much time.

        Args:
            what: for the report: what did not come.
            figure: the name of the time it took there.

        Raises:
            TooLateError: it came later, or had not come by then: the sentence does not hold, whatever comes yet.
            LateError: it came later, or not, and the harness itself was late by more than that.
        """
        watch = self.stopwatch()
        try:
            value = self.client.wait_until(condition, deadline_ms=within_ms, what=what, watch=watch)
        except HangError as error:
            raise TooLateError(str(error)) from None
        self.judge(watch, within_ms, what=what, figure=figure)
        return value

    def judge(
        self, watch: Stopwatch, within_ms: float, *, what: str, figure: str, took_ms: float | None = None
    ) -> None:
        """Note a time as a figure, and hold it to its limit; `took_ms` where it is not the watch's own by now."""
        took_ms, late_ms = watch.elapsed_ms if took_ms is None else took_ms, watch.late_ms()
        self.history.figures |= {figure: round(took_ms, 1), "harness_late_ms": round(late_ms, 1)}
        require_within(took_ms, within_ms, late_ms=late_ms, what=what)

    def scrape(self) -> Scrape:
        """The metrics now."""
        answer = self.client.request("GET", "/metrics")
        if answer.status != 200:
            raise NotTestableError(f"the metrics cannot be read\n{answer}")
        return parse(answer.body.decode())

    def grown(self, name: str, **labels: str) -> float:
        """How much a counter has grown since the scenario began."""
        assert self.before is not None
        return self.scrape().total(name, **labels) - self.before.total(name, **labels)

    def is_idle(self) -> bool:
        """Nothing waits, no slot works, and no engine connection is open."""
        now = self.scrape()
        return now.total("queue_depth") == 0 and now.total("engine_connections_open") == 0

    def use_own(self, target: Target) -> None:
        """Speak to a server that this scenario alone has, and that goes with it."""
        self.use(target)
        self.is_own = True

    def tidy(self) -> None:
        """Cancel what the scenario left running, leave its streams, and let the server become idle."""
        try:
            if self.is_own and self.target.process is not None:
                self.target.process.kill()
            elif self.admitted:
                for task_id in self.admitted:
                    self.client.request("POST", f"/v1/tasks/{task_id}/cancel")
                self.wait(self.is_idle, what="the server to be idle after the scenario")
        except (*UNMET, NotTestableError) as error:
            self.notes["tidy"] = str(error)  # the next scenario that needs a slot will say so
        finally:
            self.client.close()
            self.answers.clear()


@pytest.fixture
def world(
    target: Target, client: Client, history: History, servers: Servers, engine_url: str | None
) -> Iterator[World]:
    """The scenario's world, on the server under test; tidied up at the end."""
    made = World(
        target=target,
        client=client,
        history=history,
        servers=servers,
        service=Service.of(target.capabilities()),
        engine_url=engine_url,
    )
    yield made
    made.tidy()

"""Ten thousand seeded interleavings of submissions with drains, reloads and unloads: served or refused, never wedged.

T3, llama-swap #946: a request that arrived while its model was unloaded waited for ever.
"""

import random

import pytest

from reference_server.domain.core import Core
from reference_server.domain.effects import StartDecode, TaskFinished
from reference_server.domain.errors import RefusedError
from reference_server.domain.frames import Finish
from reference_server.domain.task import Task
from reference_server.domain.tests.builders import core, pool, request

SEEDS = 10_000
STEPS = 24
DONE = Finish(finish_reason="stop", tokens_in=1, tokens_out=1, kv_warm=False)
ACTIONS = ("submit", "submit", "submit", "finish", "finish", "release", "cancel", "drain", "reload", "reached", "time")


class Story:
    """One interleaving, from its seed."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)  # noqa: S311 - the same in every run
        self.core: Core = core(pool(interactive=2, batch=2), slots=self.rng.randint(1, 2))
        self.pool = self.core.pools["p"]
        self.now_ms, self.models = 0, 0
        self.accepted: list[Task] = []
        self.leased: list[Task] = []
        self.ends: dict[str, int] = {}

    def take(self) -> None:
        """What follows from a step."""
        for effect in self.core.take_effects():
            if isinstance(effect, StartDecode):
                self.leased.append(effect.task)
            elif isinstance(effect, TaskFinished):
                self.ends[effect.task.id] = self.ends.get(effect.task.id, 0) + 1

    def submit(self) -> bool:
        """A task for the model that the pool has now; whether it was admitted."""
        name = f"t{len(self.accepted)}-{self.now_ms}-{self.rng.random()}"
        task = request(name, self.rng.choice(("interactive", "batch")), session_id=name)
        object.__setattr__(task, "model_ref", self.pool.model_ref)
        try:
            self.accepted.append(self.core.submit(task, tokens_in=1, now_ms=self.now_ms))
        except RefusedError as error:
            if error.failure.code not in {"POOL_UNREADY", "ADMISSION_REJECT"}:
                raise
            return False
        return True

    def step(self, action: str) -> None:
        """One thing that happens."""
        self.now_ms += 1
        running = [task for task in self.leased if not task.is_terminal]
        over = [task for task in self.leased if task.is_terminal]
        match action:
            case "submit":
                self.submit()
            case "finish" if running:
                self.core.finish(self.rng.choice(running).id, DONE, self.now_ms)
            case "release" if over:
                self.release(self.rng.choice(over))
            case "cancel" if self.accepted:
                self.core.cancel(self.rng.choice(self.accepted).id, "client", self.now_ms)
            case "drain":
                self.core.drain("p", deadline_ms=self.rng.choice((None, 0, 5)), now_ms=self.now_ms)
            case "reload" if not self.pool.is_reloading:
                self.models += 1
                self.core.begin_reload("p", f"m{self.models}", now_ms=self.now_ms)
            case "reached" if self.pool.is_reloading and not self.leased and not len(self.pool.queue):
                self.core.reload_reached("p", self.rng.choice(("done", "rolled-back")), self.now_ms)
            case "time":
                self.now_ms += self.rng.randint(1, 10)
                self.core.tick(self.now_ms)
        self.take()

    def release(self, task: Task) -> None:
        """The engine has confirmed the stop."""
        self.leased.remove(task)
        self.core.release(task, self.now_ms)
        self.take()

    def heal(self) -> None:
        """Engines answer, and what was begun is brought to its end."""
        for _ in range(len(self.accepted) + 1):
            for task in list(self.leased):
                self.core.finish(task.id, DONE, self.now_ms)
                self.release(task)
        if not self.pool.is_reloading:
            self.core.begin_reload("p", "last", now_ms=self.now_ms)
        self.core.reload_reached("p", "done", self.now_ms)
        self.take()

    def wedged(self) -> str | None:
        """What hangs after all is healed; None when nothing does."""
        hanging = [task.id for task in self.accepted if not task.is_terminal]
        if hanging:
            return f"tasks that never ended: {hanging}"
        if [task.id for task in self.accepted if self.ends.get(task.id) != 1]:
            return f"tasks without exactly one end: {self.ends}"
        if not self.submit():
            return "a pool that was brought back takes nothing"
        self.take()
        return None if self.leased else "a pool that was brought back starts nothing"


def first_wedged(seeds: range) -> tuple[int, str] | None:
    """The first seed whose story hangs, and how."""
    for seed in seeds:
        story = Story(seed)
        for _ in range(STEPS):
            story.step(story.rng.choice(ACTIONS))
        story.heal()
        if (how := story.wedged()) is not None:
            return seed, how
    return None


@pytest.mark.slow
@pytest.mark.req("ORCH-2101", "ORCH-2102", "OC-CTRL-2002", "OC-CTRL-2003")
def test_no_interleaving_wedges_a_task_or_the_pool() -> None:
    assert first_wedged(range(SEEDS)) is None


@pytest.mark.req("OC-TEST-7006")
@pytest.mark.parametrize("bug", ["reload_reached", "release"])
def test_a_pool_that_forgets_whom_to_serve_is_found(monkeypatch: pytest.MonkeyPatch, bug: str) -> None:
    """After a reload, or a slot that has become free, nobody who waits is looked for."""
    method = getattr(Core, bug)

    def forgetful(self: Core, *arguments: object, **named: object) -> None:
        with monkeypatch.context() as within:
            within.setattr(Core, "_dispatch", lambda *_: None)
            method(self, *arguments, **named)
        if bug == "reload_reached":
            self.pools["p"].draining = True

    monkeypatch.setattr(Core, bug, forgetful)

    assert first_wedged(range(200)) is not None

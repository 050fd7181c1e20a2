"""The whole domain under random events, held to what must be true of any history."""

from collections import Counter

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from reference_server.domain.effects import StartDecode, TaskFinished
from reference_server.domain.errors import Failure, RefusedError
from reference_server.domain.faults import Fault
from reference_server.domain.frames import Finish
from reference_server.domain.task import Priority, Task
from reference_server.domain.task_queue import FullPolicy
from reference_server.domain.tests.builders import FACTS, core, pool, request

DONE = Finish(finish_reason="stop", tokens_in=1, tokens_out=1, kv_warm=False)


class CoreMachine(RuleBasedStateMachine):
    """Clients, engines and the clock do what they like."""

    @initialize(
        policy=st.sampled_from(["reject", "drop-lru", "shed-low-priority"]),
        capacity=st.integers(1, 3),
        replicas=st.integers(1, 2),
        slots=st.integers(1, 2),
    )
    def start(self, policy: FullPolicy, capacity: int, replicas: int, slots: int) -> None:
        self.pool = pool(interactive=capacity, batch=capacity, total=capacity + 1, policy=policy, replicas=replicas)
        self.core = core(self.pool, slots=slots)
        self.slots, self.now, self.count = slots, 0, 0
        self.accepted: dict[str, Task] = {}
        self.unreleased: dict[str, Task] = {}
        self.starts: list[tuple[str, str | None]] = []
        self.ends: Counter[str] = Counter()

    def drain(self) -> None:
        for effect in self.core.take_effects():
            if isinstance(effect, StartDecode):
                self.starts.append((effect.task.id, effect.task.replica_id))
                self.unreleased[effect.task.id] = effect.task
            if isinstance(effect, TaskFinished):
                self.ends[effect.task.id] += 1

    def pick(self, data: st.DataObject, among: dict[str, Task]) -> Task | None:
        return among[data.draw(st.sampled_from(sorted(among)))] if among else None

    @rule(priority=st.sampled_from(["interactive", "batch"]), deadline=st.integers(1, 50))
    def submit(self, priority: Priority, deadline: int) -> None:
        self.count += 1
        name = f"t{self.count}"
        try:
            self.accepted[name] = self.core.submit(
                request(name, priority, deadline_ms=deadline * 100), tokens_in=1, now_ms=self.now
            )
        except RefusedError:
            assert self.core.task(name) is None
        self.drain()

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        if (task := self.pick(data, self.accepted)) is not None:
            was_terminal = task.is_terminal
            assert (not was_terminal) == self.core.cancel(task.id, "client", self.now)
        self.drain()

    @rule(data=st.data(), how=st.sampled_from(["finish", "fail", "token"]))
    def engine_event(self, data: st.DataObject, how: str) -> None:
        if (task := self.pick(data, self.unreleased)) is not None:
            if how == "token" and not task.transcript.is_closed:
                task.transcript.append_tokens(["x"])
            elif how == "finish":
                self.core.finish(task.id, DONE, self.now)
            elif how == "fail":
                self.core.fail(task.id, Failure(code="WORKER_RESET", message="x"), self.now)
        self.drain()

    @rule(data=st.data())
    def engine_answers_with_an_error(self, data: st.DataObject) -> None:
        """Of a task that had no token yet: it goes on, or the caller ends it."""
        going = {name: task for name, task in self.unreleased.items() if task.state == "running"}
        if (task := self.pick(data, going)) is None:
            return
        failure = Failure(code="REPLICA_EXHAUSTED", message="500")
        can_go_on = self.core.can_go_on(task)
        assert not (can_go_on and task.transcript.tokens_total)
        if not can_go_on:
            self.core.fail(task.id, failure, self.now)
        del self.unreleased[task.id]
        self.core.release(task, self.now, failed=failure if can_go_on else None)
        self.drain()

    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        over = {name: task for name, task in self.unreleased.items() if task.is_terminal}
        if (task := self.pick(data, over)) is not None:
            del self.unreleased[task.id]
            self.core.release(task, self.now)
        self.drain()

    @rule(data=st.data())
    def replica_dies_and_returns(self, data: st.DataObject) -> None:
        replica_id = data.draw(st.sampled_from(sorted(self.pool.replicas)))
        self.core.replica_lost("p", replica_id, Fault("lost", "died"), self.now, jitter=0.5)
        self.core.replica_restarted("p", replica_id, self.now)
        self.drain()
        for name in [n for n, t in self.unreleased.items() if t.replica_id == replica_id]:
            self.core.release(self.unreleased.pop(name), self.now)
        self.core.replica_preloaded("p", replica_id, FACTS, self.now)
        self.drain()

    @rule(ms=st.integers(1, 3_000))
    def time_passes(self, ms: int) -> None:
        self.now += ms
        self.core.tick(self.now)
        self.drain()

    @invariant()
    def every_accepted_task_is_in_exactly_one_place(self) -> None:
        waiting = set(self.pool.queue.ids())
        leased = {task_id for replica in self.pool.replicas.values() for task_id in replica.leases}
        for name, task in self.accepted.items():
            assert (task.state == "queued") == (name in waiting)
            if task.state == "running":
                assert name in leased
            assert (1 if task.is_terminal else 0) == self.ends[name]
            assert task.is_terminal == task.transcript.is_closed

    @invariant()
    def no_task_is_started_twice_on_a_replica_and_no_slot_oversubscribed(self) -> None:
        assert len(self.starts) == len(set(self.starts))
        for replica in self.pool.replicas.values():
            assert len(replica.leases) <= replica.slots_total

    @invariant()
    def nobody_waits_while_a_slot_is_free_on_a_replica_that_has_not_tried_it(self) -> None:
        free = {replica.id for replica in self.pool.ready_replicas if replica.slots_free}
        ready = {replica.id for replica in self.pool.ready_replicas}
        for task_id in self.pool.queue.ids():
            tried = self.accepted[task_id].tried.keys()
            assert free <= tried
            assert not free or ready - tried

    @invariant()
    def who_is_started_again_was_failed_before(self) -> None:
        for name, task in self.accepted.items():
            starts = [replica_id for started, replica_id in self.starts if started == name]
            assert set(starts[:-1]) <= task.tried.keys()


TestCore = pytest.mark.req("OC-CORE-1008", "OC-CORE-1014", "OC-CORE-1016", "ORCH-3024")(CoreMachine.TestCase)
TestCore.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)

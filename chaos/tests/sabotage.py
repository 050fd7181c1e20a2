"""Servers that are bad in one way each: the reference server as its own process, with a defect planted at its start.

A defect is the text of a few lines that run in the server's process before it serves; nothing of the server is imported
here. The command takes the place of `--launch`.
"""

import sys
from collections.abc import Mapping
from textwrap import dedent

SERVE = """
from reference_server.__main__ import app
app(prog_name="sabotaged")
"""

DEFECTS: Mapping[str, str] = {
    "harmless": "",
    "forgets-every-fifth-task": """
        from reference_server.store.sqlite import SqliteStore as S
        count, admit = [0], S.admit
        def forget(self, task):
            count[0] += 1
            if count[0] % 5:
                admit(self, task)
        S.admit = forget
        """,
    "writes-no-start-down": """
        from reference_server.store.sqlite import SqliteStore as S
        S.claim = lambda self, task_id: None
        """,
    "tells-the-end-too-early": """
        from reference_server.runtime.orchestrator import Orchestrator as O
        from reference_server.store.sqlite import SqliteStore as S
        async def told(self):
            return None
        O.require_told = told
        S.finish = lambda self, task_id, outcome: None
        """,
    "leaks-a-slot": """
        from reference_server.domain.core import Core as C
        count, release = [0], C.release
        def leak(self, task, now_ms, **more):
            count[0] += 1
            if count[0] != 40:
                release(self, task, now_ms, **more)
        C.release = leak
        """,
    "drops-the-youngest": """
        from reference_server.domain.task_queue import TaskQueue as Q
        Q._victim = lambda self, newcomer: next(reversed(self._lanes[newcomer]), None)
        """,
    "last-come-first-served": """
        from reference_server.domain.task_queue import TaskQueue as Q
        def pop(self):
            for priority, lane in self._lanes.items():
                if lane:
                    task_id, tokens = lane.popitem(last=True)
                    self._tokens[priority] -= tokens
                    return task_id
        Q.pop = pop
        """,
    "batch-first": """
        from reference_server.domain.task_queue import TaskQueue as Q
        def pop(self):
            for priority in ("batch", "interactive"):
                lane = self._lanes[priority]
                if lane:
                    task_id, tokens = lane.popitem(last=False)
                    self._tokens[priority] -= tokens
                    return task_id
        Q.pop = pop
        """,
    "lets-everybody-in": """
        from reference_server.domain.task_queue import TaskQueue as Q
        Q._has_room = lambda self, priority: True
        """,
    "breaks-when-it-is-full": """
        from reference_server.domain.task_queue import TaskQueue as Q
        has_room = Q._has_room
        def break_down(self, priority):
            if not has_room(self, priority):
                raise RuntimeError("full")
            return True
        Q._has_room = break_down
        """,
    "drains-without-a-deadline": """
        from reference_server.domain.core import Core as C
        C.end_all = lambda self, *how, **more: None
        """,
    "leaves-its-engine": """
        import os
        from reference_server.runtime import engine_process as E, supervised
        async def end_at_once(self, **how):
            os._exit(0)
        supervised.mark = dict  # another server that starts meanwhile would end what it knows for an orphan
        E._before_exec = lambda cpus: None
        E.EngineProcess.stop = end_at_once
        """,
    "takes-every-death-for-the-hosts": """
        from reference_server.domain import faults
        faults.kind_of = lambda lines: "host-oom"
        """,
    "never-settles": """
        from reference_server.domain.budgets import Account as A
        A.settle = lambda self, task_id, used: None
        """,
    "mixes-up-two-pieces": """
        from reference_server.domain.transcript import Transcript as T
        count, append = [0], T.append_tokens
        def garble(self, pieces):
            count[0] += 1
            append(self, tuple(reversed(pieces)) if count[0] % 9 else (*pieces[:-1], pieces[-1] + "?"))
        T.append_tokens = garble
        """,
    "ignores-the-cancel": """
        from reference_server.domain.core import Core as C
        cancel, count = C.cancel, [0]
        def ignore(self, task_id, reason, now_ms):
            task = self.task(task_id)
            if task is not None and task.state == "queued" and task.request.max_tokens < 100:
                return False
            return cancel(self, task_id, reason, now_ms)
        C.cancel = ignore
        """,
}


def command(defect: str) -> tuple[str, ...]:
    """The command line of a server with this defect."""
    line = ("serve", "--port", "0", "--config", "{config}", "--state-dir", "{state}")
    return (sys.executable, "-c", dedent(DEFECTS[defect]) + SERVE, *line)

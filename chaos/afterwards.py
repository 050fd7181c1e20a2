"""What is asked of a server that is healed: is it idle, does it take as much as before, what became of every task."""

import json
import random
import time
from collections.abc import Iterable, Sequence

from chaos.clients import Caller
from chaos.engines import is_alive
from chaos.record import Record
from chaos.scene import Scene
from chaos.workloads.workload import body
from harness.checks.metrics import parse
from harness.history import now_ms, parsed

LOOK_S = 0.1
HOLD_TOKENS = 3_500  # more than any measurement lasts: such a task holds its slot until it is canceled
READERS = 16
GONE_MS = 10_000  # for the engines of a server that has ended: it may first ask them to


def wait_idle(scene: Scene, within_ms: float) -> bool:
    """Wait until nothing waits and no engine works; whether it came to that."""
    caller = Caller(scene, "wait")
    until_ms, is_idle = now_ms() + within_ms, False
    while not is_idle and now_ms() < until_ms:
        answer = caller.request("GET", "/metrics")
        if answer is not None and answer.status == 200:
            found = parse(answer.body.decode())
            is_idle = found.total("queue_depth") == found.total("engine_connections_open") == 0
        if not is_idle:
            time.sleep(LOOK_S)
    caller.close()
    return is_idle


def measure_capacity(scene: Scene, when: str, rng: random.Random) -> None:
    """How many tasks are let in at a time: more are sent than there is room for, and those that stay are counted."""
    pool = scene.workload.pool
    caller = Caller(scene, f"capacity-{when}")
    sent = []
    for _ in range(pool.slots + pool.capacity + 4):
        task = body(rng, tokens=HOLD_TOKENS)
        answer = caller.submit(task)
        if answer is not None and answer.status == 202:
            sent.append(task["task_id"])
    states = [caller.request("GET", f"/v1/tasks/{task_id}") for task_id in sent]
    count = sum(s is not None and s.status == 200 and s.json["state"] in ("queued", "running") for s in states)
    for task_id in sent:
        caller.request("POST", f"/v1/tasks/{task_id}/cancel")
    caller.close()
    slots = _slots_declared(scene)
    scene.recorder.add("capacity", when=when, count=count, slots=slots, at_ms=scene.recorder.now())


def _slots_declared(scene: Scene) -> int:
    """What capabilities say now: an engine that ran out of VRAM may have come back with fewer (ORCH-3039)."""
    rows = scene.server.target().capabilities()["engines"]
    return sum(row["declared_concurrency"] for row in rows if row["engine"] == scene.offer["engine"])


def read_all(scene: Scene) -> None:
    """Every task that was ever submitted, as a late reader gets it; and what every session has left."""
    caller = Caller(scene, "final")
    submitted = _submitted(scene.recorder.records)
    tasks = [
        task_id for task_id, (_, statuses) in submitted.items() if any(s in (0, 202) or s >= 500 for s in statuses)
    ]
    for start in range(0, len(tasks), READERS):
        part = tasks[start : start + READERS]
        readers = [reader for reader in map(caller.open, part) if reader is not None]
        caller.follow_all(readers)
        for reader in readers:
            if reader.record.terminal is None:
                caller.request("GET", f"/v1/tasks/{reader.record.task_id}")
        caller.flush()
    if scene.workload.pool.budget_tokens is not None:
        for session in sorted({session for session, _ in submitted.values()}):
            caller.request("GET", f"/v1/sessions/{session}")
    caller.request("GET", "/metrics")
    caller.close()


def tell_witness(scene: Scene) -> None:
    """What the engines and the server's log have to say, into the history."""
    for line in scene.engines.lines():
        scene.recorder.add("engine", **{**line, "at_ms": scene.recorder.since(line["at_ms"])})
    for text in scene.server.log.read_text(encoding="utf-8", errors="replace").splitlines():
        entry = parsed(text)
        if isinstance(entry, dict) and isinstance(entry.get("fault"), str):
            scene.recorder.add("loss", fault=entry["fault"])


def tell_engines_left(scene: Scene, pids: Iterable[int]) -> None:
    """Which engines live on after their server has ended; they are given a moment."""
    until_ms = now_ms() + GONE_MS
    left = [pid for pid in pids if is_alive(pid)]
    while left and now_ms() < until_ms:
        time.sleep(LOOK_S)
        left = [pid for pid in left if is_alive(pid)]
    scene.recorder.add("engines", alive=left, at_ms=scene.recorder.now())


def _submitted(records: Sequence[Record]) -> dict[str, tuple[str, list[int]]]:
    """Session and all answers' statuses, by task."""
    found: dict[str, tuple[str, list[int]]] = {}
    for record in list(records):
        if record["kind"] == "exchange" and (record["method"], record["path"]) == ("POST", "/v1/tasks"):
            sent = json.loads(record["request_body"])
            found.setdefault(sent["task_id"], (sent["session_id"], []))[1].append(record["status"])
    return found

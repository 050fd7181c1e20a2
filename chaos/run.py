"""One run: warm-up, faults, heal, wait, final reads, judge. Workload, faults and rules meet only here."""

import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

from chaos.afterwards import measure_capacity, read_all, tell_engines_left, tell_witness, wait_idle
from chaos.clients import Caller, Worker, draw_errands
from chaos.faults.pools import wait_ready
from chaos.judge import Verdict, judge
from chaos.scene import Scene
from chaos.schedule import Planned, plan
from chaos.stage import Options, set_up
from harness.history import now_ms
from harness.target import CannotRunError

WARM_MS = 10_000
WARM_TASKS = 10
LOOK_S = 0.02
SCRAPE_S = 0.25
JOIN_S = 120.0  # a client's longest errand, on a busy machine

Say = Callable[[str], None]


def run(options: Options, folder: Path, say: Say) -> Verdict:
    """Run once, and judge.

    Args:
        folder: empty; keeps the history, the server's log, the engines' witness.
        say: is told what goes on, a line at a time.

    Raises:
        CannotRunError: the server did not come up at the beginning.
        UsageError: the options contradict each other.
    """
    with set_up(options, folder) as scene:
        try:
            _load(scene, options, say)
            _settle(scene, options, say)
        except CannotRunError as error:
            scene.recorder.add("down", what=str(error), at_ms=scene.recorder.now())
        engines = scene.engines.alive()
        scene.server.stop()
        if options.engine_kind == "supervised":
            tell_engines_left(scene, engines)
        tell_witness(scene)
        _phase(scene, "judge", say)
        return judge(scene.recorder.records)


def _load(scene: Scene, options: Options, say: Say) -> None:
    """From the first task to the last fault."""
    workload = options.workload
    _phase(scene, "warm-up", say)
    measure_capacity(scene, "before", random.Random(f"{options.seed}/before"))
    wait_idle(scene, options.idle_ms)
    workers = [
        Worker(scene, number, draw_errands(options.seed, number, workload.draw)) for number in range(workload.clients)
    ]
    watch = threading.Thread(target=_watch, args=(scene,), daemon=True)
    for thread in (*workers, watch):
        thread.start()
    try:
        _warm_up(scene)
        _phase(scene, "faults", say)
        for planned in plan(options.seed, options.kinds, duration_ms=options.duration_ms, blows=options.blows):
            deal(scene, planned, say)
        if not options.kinds:
            time.sleep(options.duration_ms / 1000)
    except BaseException:
        scene.server.abandon()
        raise
    finally:
        scene.over.set()
        for thread in (*workers, watch):
            thread.join(JOIN_S)
    for worker in workers:
        if worker.failure is not None or worker.is_alive():
            what = f"{worker.name}: {worker.failure!r}" if worker.failure else f"{worker.name} did not come to an end"
            scene.recorder.add("defect", what=what)


def deal(scene: Scene, planned: Planned, say: Say) -> None:
    """One blow of a fault, from its strike to its healing."""
    rng = random.Random(planned.seed)
    fault = planned.kind.make()
    time.sleep(planned.pause_ms / 1000)
    at_ms = scene.recorder.now()
    try:
        fault.strike(scene, rng)
        time.sleep(planned.hold_ms / 1000)
    finally:
        blow = fault.heal(scene)
    name, until_ms = planned.kind.name, scene.recorder.now()
    scene.recorder.add("fault", name=name, at_ms=at_ms, until_ms=until_ms, hits=blow.hits, told=blow.told)
    say(f"  {at_ms / 1000:7.2f} s  {name}: {blow.told}")


def _settle(scene: Scene, options: Options, say: Say) -> None:
    """From the last fault to the last read: nothing is wrong any more, and everything has to show that it is well."""
    _phase(scene, "heal", say)
    scene.front = None
    wait_ready(scene, "heal")
    _phase(scene, "wait", say)
    wait_idle(scene, options.idle_ms)
    measure_capacity(scene, "after", random.Random(f"{options.seed}/after"))
    wait_idle(scene, options.idle_ms)
    _phase(scene, "final reads", say)
    read_all(scene)


def _warm_up(scene: Scene) -> None:
    """Until there is something to disturb."""
    until_ms = now_ms() + WARM_MS
    while now_ms() < until_ms and _accepted(scene) < WARM_TASKS:
        time.sleep(LOOK_S)


def _accepted(scene: Scene) -> int:
    records = list(scene.recorder.records)
    return sum(r["kind"] == "exchange" and r["status"] == 202 and not r["who"].startswith("capacity") for r in records)


def _watch(scene: Scene) -> None:
    """Scrape while the load goes on."""
    caller = Caller(scene, "watch")
    while not scene.over.wait(SCRAPE_S):
        if scene.server.is_up.is_set():
            caller.request("GET", "/metrics")
            caller.flush()
    caller.close()


def _phase(scene: Scene, name: str, say: Say) -> None:
    scene.recorder.add("phase", name=name, at_ms=scene.recorder.now())
    say(name)

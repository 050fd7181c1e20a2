"""A pool that is drained, and on its way back: asked for, and waited for."""

import time
from collections.abc import Callable
from typing import Any

from chaos.clients import Caller
from chaos.scene import Scene
from harness.history import now_ms

READY_MS = 60_000
LOOK_S = 0.05


def drain(scene: Scene, who: str, *, deadline_ms: int) -> int:
    """Ask for a drain; the status of the answer, 0 where none came."""
    caller = Caller(scene, who)
    answer = caller.request("POST", f"/v1/pools/{scene.pool_id}/drain", json={"deadline_ms": deadline_ms})
    caller.close()
    return answer.status if answer else 0


def wait_health(scene: Scene, who: str, holds: Callable[[Any], bool], *, deadline_ms: float) -> bool:
    """Wait until the pool's health is as asked for."""
    caller = Caller(scene, who)
    until_ms = now_ms() + deadline_ms
    is_there = False
    while not is_there and now_ms() < until_ms:
        answer = caller.request("GET", f"/v1/pools/{scene.pool_id}/health")
        is_there = answer is not None and answer.status == 200 and holds(answer.json)
        if not is_there:
            time.sleep(LOOK_S)
    caller.close()
    return is_there


def wait_ready(scene: Scene, who: str, *, deadline_ms: float = READY_MS) -> bool:
    """Wait until the pool's health says that it is ready."""
    return wait_health(scene, who, lambda now: now["ready"] and not now["draining"], deadline_ms=deadline_ms)


def bring_back(scene: Scene, who: str, model_ref: str) -> bool:
    """Reload a drained pool to its own model, and wait until it is ready."""
    caller = Caller(scene, who)
    answer = caller.request("POST", f"/v1/pools/{scene.pool_id}/reload", json={"new_model_ref": model_ref})
    caller.close()
    return answer is not None and answer.status == 202 and wait_ready(scene, who)

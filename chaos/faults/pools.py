"""A pool on its way back: asked for, and waited for."""

import time

from chaos.clients import Caller
from chaos.scene import Scene
from harness.history import now_ms

READY_MS = 60_000
LOOK_S = 0.05


def wait_ready(scene: Scene, who: str, *, deadline_ms: float = READY_MS) -> bool:
    """Wait until the pool's health says that it is ready."""
    caller = Caller(scene, who)
    until_ms = now_ms() + deadline_ms
    is_ready = False
    while not is_ready and now_ms() < until_ms:
        answer = caller.request("GET", f"/v1/pools/{scene.pool_id}/health")
        is_ready = answer is not None and answer.status == 200 and answer.json["ready"] and not answer.json["draining"]
        if not is_ready:
            time.sleep(LOOK_S)
    caller.close()
    return is_ready


def bring_back(scene: Scene, who: str, model_ref: str) -> bool:
    """Reload a drained pool to its own model, and wait until it is ready."""
    caller = Caller(scene, who)
    answer = caller.request("POST", f"/v1/pools/{scene.pool_id}/reload", json={"new_model_ref": model_ref})
    caller.close()
    return answer is not None and answer.status == 202 and wait_ready(scene, who)

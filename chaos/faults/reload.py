"""`reload`: the pool is reloaded under load, to the model it has or to one that cannot be loaded."""

import random

from chaos.clients import Caller
from chaos.faults.fault import Blow
from chaos.faults.pools import wait_ready
from chaos.scene import Scene

NOWHERE = "file:/nowhere/model.gguf"


class Reload:
    """One reload; the second kind has to be rolled back."""

    def __init__(self) -> None:
        self._status = 0
        self._model_ref = ""

    def strike(self, scene: Scene, rng: random.Random) -> None:
        """Reload."""
        self._model_ref = rng.choice((scene.offer["model_ref"], NOWHERE))
        caller = Caller(scene, "reload")
        order = {"new_model_ref": self._model_ref}
        answer = caller.request("POST", f"/v1/pools/{scene.pool_id}/reload", json=order)
        self._status = answer.status if answer else 0
        caller.close()

    def heal(self, scene: Scene) -> Blow:
        """Wait until the pool is Ready, on whichever model: it is the same one."""
        is_back = wait_ready(scene, "reload")
        hits = int(self._status == 202 and is_back)
        return Blow(hits, f"the reload to {self._model_ref} was answered with {self._status}; Ready again: {is_back}")

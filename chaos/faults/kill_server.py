"""`kill-server`: SIGKILL to the server, and a new life on the same state folder."""

import random
import signal
import threading

from chaos.faults.fault import Blow
from chaos.scene import Scene


class KillServer:
    """One kill. The new life begins at once: what waits for it waits no longer than a start takes."""

    def __init__(self) -> None:
        self._code: int | None = None
        self._failure: Exception | None = None
        self._starting: threading.Thread | None = None

    def strike(self, scene: Scene, rng: random.Random) -> None:
        """Kill, and begin to start."""
        del rng
        self._code = scene.server.kill()
        self._starting = threading.Thread(target=self._start, args=(scene,), daemon=True)
        self._starting.start()

    def heal(self, scene: Scene) -> Blow:
        """Wait until the new life answers.

        Raises:
            CannotRunError: it did not come up again.
        """
        del scene
        assert self._starting is not None  # noqa: S101
        self._starting.join()
        if self._failure is not None:
            raise self._failure
        return Blow(int(self._code == -signal.SIGKILL), f"the server ended with {self._code} and was started again")

    def _start(self, scene: Scene) -> None:
        try:
            scene.server.start()
        except Exception as error:  # noqa: BLE001 - raised again by `heal`, in the thread that waits
            self._failure = error

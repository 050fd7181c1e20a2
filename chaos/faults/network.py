"""What all network faults share: they sit in a proxy until they have hit, then for as long as they last.

A blow strikes what passes, and for a while nothing may: a server that has lost its engine pauses before it asks again,
and longer on a busy machine. So a strike waits for its first hit, and the time it lasts begins there.
"""

import random
import threading

from chaos.faults.fault import Blow
from chaos.proxy import Link
from chaos.scene import Scene, Where

HIT_S = 30.0  # a server's pauses before it asks a lost engine again grow


class NetworkFault:
    """Passes everything on; the kinds override `carry`, and call `hit`.

    Args:
        hit_s: how long a strike waits for its first hit; after that it has missed.
    """

    says = "passed on"

    def __init__(self, where: Where, *, hit_s: float = HIT_S) -> None:
        self.hits = 0
        self.rng = random.Random()
        self._where = where
        self._hit_s = hit_s
        self._has_hit = threading.Event()

    def strike(self, scene: Scene, rng: random.Random) -> None:
        """Sit in the proxy, until it has hit."""
        self.rng = rng
        scene.proxy(self._where).trouble = self
        self._has_hit.wait(self._hit_s)

    def heal(self, scene: Scene) -> Blow:
        """Leave it."""
        scene.proxy(self._where).trouble = None
        return Blow(self.hits, f"{self.hits} times {self.says}, before the {_before(self._where)}")

    def hit(self) -> None:
        """Count one."""
        self.hits += 1
        self._has_hit.set()

    async def carry(self, data: bytes, link: Link) -> None:
        """Pass it on."""
        await link.send(data)


def _before(where: Where) -> str:
    return "server" if where == "clients" else "engine"

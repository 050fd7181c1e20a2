"""What all network faults share: they sit in a proxy for as long as they last, and count what they touched."""

import random

from chaos.faults.fault import Blow
from chaos.proxy import Link
from chaos.scene import Scene, Where


class NetworkFault:
    """Passes everything on; the kinds override `carry`."""

    says = "passed on"

    def __init__(self, where: Where) -> None:
        self.hits = 0
        self.rng = random.Random()
        self._where = where

    def strike(self, scene: Scene, rng: random.Random) -> None:
        """Sit in the proxy."""
        self.rng = rng
        scene.proxy(self._where).trouble = self

    def heal(self, scene: Scene) -> Blow:
        """Leave it."""
        scene.proxy(self._where).trouble = None
        return Blow(self.hits, f"{self.hits} times {self.says}, before the {_before(self._where)}")

    async def carry(self, data: bytes, link: Link) -> None:
        """Pass it on."""
        await link.send(data)


def _before(where: Where) -> str:
    return "server" if where == "clients" else "engine"

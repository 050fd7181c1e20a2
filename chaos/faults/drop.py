"""`drop`: a black hole. Connections open, and nothing comes through them, until it heals.

TCP sends a lost packet again: what a lossy network does to a stream is that it stands still, and then goes on.
"""

import asyncio

from chaos.faults.fault import Blow
from chaos.faults.network import HIT_S, NetworkFault
from chaos.proxy import Link
from chaos.scene import Scene, Where


class Drop(NetworkFault):
    """Holds everything; when it is taken away it passes on what it holds."""

    says = "swallowed a piece for a while"

    def __init__(self, where: Where, *, hit_s: float = HIT_S) -> None:
        super().__init__(where, hit_s=hit_s)
        self._healed = asyncio.Event()

    def heal(self, scene: Scene) -> Blow:
        """Let everything through."""
        told = super().heal(scene)
        scene.proxy(self._where).call_soon(self._healed.set)
        return told

    async def carry(self, data: bytes, link: Link) -> None:
        """Wait for the end of it."""
        self.hit()
        await self._healed.wait()
        await link.send(data)

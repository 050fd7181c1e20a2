"""`delay`: every piece arrives late."""

import asyncio

from chaos.faults.network import NetworkFault
from chaos.proxy import Link

DELAY_MS = (5, 120)


class Delay(NetworkFault):
    """Each direction keeps its order: a piece waits for the one before."""

    says = "held a piece back"

    async def carry(self, data: bytes, link: Link) -> None:
        """Wait, then pass it on."""
        await asyncio.sleep(self.rng.uniform(*DELAY_MS) / 1000)
        self.hit()
        await link.send(data)

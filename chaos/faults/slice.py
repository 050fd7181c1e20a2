"""`slice`: what was sent at once arrives in pieces of a few bytes, in the middle of characters and of frames."""

import asyncio

from chaos.faults.network import NetworkFault
from chaos.proxy import Link

SLICE_BYTES = (1, 7)
SLICED_BYTES_MAX = 400  # of a piece: a long body byte by byte would only make the run slow


class Slice(NetworkFault):
    """Cuts pieces up."""

    says = "cut a piece up"

    async def carry(self, data: bytes, link: Link) -> None:
        """In slices, each a write of its own."""
        at = 0
        while at < min(len(data), SLICED_BYTES_MAX):
            size = self.rng.randint(*SLICE_BYTES)
            await link.send(data[at : at + size])
            await asyncio.sleep(0)
            at += size
        if len(data) > SLICE_BYTES[1]:
            self.hit()
        if at < len(data):
            await link.send(data[at:])

"""`half-close`: one direction of a connection ends, and the other stays open."""

from chaos.faults.network import NetworkFault
from chaos.proxy import Link

SHARE = 0.1  # of the pieces


class HalfClose(NetworkFault):
    """The receiver sees an orderly end where the sender sent none; what is still sent goes nowhere."""

    says = "half-closed a connection"

    async def carry(self, data: bytes, link: Link) -> None:
        """Pass it on, and end this direction in the middle of a piece now and then; the rest has nowhere to go."""
        if not link.is_open:
            return
        if self.rng.random() >= SHARE:
            await link.send(data)
            return
        self.hit()
        await link.send(data[: len(data) // 2])
        link.shut()

"""`cut`: a connection is reset; one with a stream after some of its frames."""

from chaos.faults.network import NetworkFault
from chaos.proxy import Link

FRAMES_MAX = 12
SHARE = 0.3  # of the pieces of a stream, from its last frame that passes on; of other connections a tenth


class Cut(NetworkFault):
    """Resets both sides, so that neither can take it for an end."""

    says = "reset a connection"

    async def carry(self, data: bytes, link: Link) -> None:
        """Pass it on, or cut."""
        is_due = link.is_stream and link.direction == "to-client" and link.frames >= self.rng.randint(1, FRAMES_MAX)
        if (is_due and self.rng.random() < SHARE) or (not link.is_stream and self.rng.random() < SHARE / 3):
            self.hit()
            link.cut()
            return
        await link.send(data)

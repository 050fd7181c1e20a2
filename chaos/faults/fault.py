"""What a fault is: it strikes, it heals, and it says how often it really hit.

A fault that did not hit proves nothing: a run with one is `unknown`, which counts as a failure (OC-TEST-7050).
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from chaos.scene import Scene, Where


@dataclass(frozen=True, slots=True)
class Blow:
    """What one blow came to.

    Attributes:
        hits: how often it took effect, as far as that was seen; 0 = not at all.
        told: in words, with the evidence.
    """

    hits: int
    told: str


class Fault(Protocol):
    """One blow of trouble. Everything random comes from the `Random` that is handed in."""

    def strike(self, scene: Scene, rng: random.Random) -> None:
        """Begin, and see it hit where that may take a while."""

    def heal(self, scene: Scene) -> Blow:
        """End what was begun, wait until it is ended, and say what it came to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A fault as the registry has it.

    Attributes:
        make: makes one blow's fault.
        hold_ms: how long a blow lasts, from and to.
        blows_max: in one run; engines that die too often are not started again for a while.
        where: the proxy that it needs; None = none.
        engine: `supervised` = one that the server starts, `attached` = one that outlives the server.
    """

    name: str
    about: str
    make: Callable[[], Fault]
    hold_ms: tuple[int, int]
    blows_max: int = 1_000
    where: Where | None = None
    engine: Literal["any", "supervised", "attached"] = "any"

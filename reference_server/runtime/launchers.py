"""How a replica's engine comes up and goes down: one small class for each kind in the configuration.

Source: ORCH-3001, ORCH-3200, OC-CONFIG-6020.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from reference_server.domain.faults import Fault
from reference_server.engines.base import Engine


class FaultError(Exception):
    """The engine is out, for a reason that is known already."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.text)
        self.fault = fault


class Launcher(Protocol):
    """Brings one replica's engine up, tells when it is gone, and takes it down."""

    async def prepare(self) -> None:
        """Bring what the engine needs, for as long as that takes. Raises `FaultError`."""

    async def start(self) -> Engine:
        """Start or reach the engine; it may still be loading. Raises `EngineError` or `FaultError`."""

    async def lost(self) -> Fault:
        """Return the reason once the engine's process has ended; never returns for an engine that is not ours."""

    async def stop(self) -> None:
        """Take the engine down, or let go of it. Idempotent."""

    def shrink(self) -> str | None:
        """The engine ran out of VRAM: ask for less at the next start. Says what, or None where nothing can be cut."""


class Attached:
    """An engine that is there already: embedded in this process, or run by somebody else."""

    def __init__(self, attach: Callable[[], Engine]) -> None:
        self._attach = attach
        self._engine: Engine | None = None

    async def prepare(self) -> None:
        """It has all that it needs."""

    async def start(self) -> Engine:
        """Make a client for the engine; its readiness is asked for later."""
        self._engine = self._attach()
        return self._engine

    async def lost(self) -> Fault:
        """Its end shows only in its answers."""
        await asyncio.get_running_loop().create_future()
        raise AssertionError("nobody sets that future")

    async def stop(self) -> None:
        """Let go of the connections."""
        if self._engine is not None:
            await self._engine.close()
            self._engine = None

    def shrink(self) -> None:
        """What it was started with is not ours to change."""
        return


class Parked:
    """No engine, on purpose."""

    def __init__(self, fault: Fault) -> None:
        self._fault = fault

    async def prepare(self) -> None:
        """It needs nothing."""

    async def start(self) -> Engine:
        """Raises `FaultError`: the replica stays down."""
        raise FaultError(self._fault)

    async def lost(self) -> Fault:
        """There is nothing to lose."""
        return self._fault

    async def stop(self) -> None:
        """Nothing runs."""

    def shrink(self) -> None:
        """Nothing was asked for."""
        return

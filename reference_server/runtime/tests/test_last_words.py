"""An engine that dies is known by its own last words, also where a broken answer was the first sign of it."""

import asyncio
import random

import pytest

from reference_server.config import MockEngine
from reference_server.domain.faults import Fault
from reference_server.domain.replica import ReplicaFacts
from reference_server.domain.tests.builders import core as make_core
from reference_server.domain.tests.builders import pool as make_pool
from reference_server.engines.base import EngineLostError
from reference_server.engines.mock import Mock
from reference_server.runtime.launchers import Attached
from reference_server.runtime.replica_keeper import ReplicaKeeper


class Broken(Mock):
    """Ready, and gone at the first question after that."""

    async def properties(self) -> ReplicaFacts:
        raise EngineLostError("/props: ClientOSError")


class Dying(Attached):
    """Its process ends a little after its answers have broken."""

    def __init__(self, words: Fault | None) -> None:
        super().__init__(lambda: Broken(MockEngine()))
        self._words = words

    async def lost(self) -> Fault:
        if self._words is None:
            return await super().lost()
        await asyncio.sleep(0.02)
        return self._words


async def first_fault(launcher: Attached) -> Fault | None:
    """Why the first preload failed."""
    core = make_core(make_pool(), is_ready=False)
    rng = random.Random(1)  # noqa: S311 - jitter
    keeper = ReplicaKeeper("p", "r0", launcher, core, start_limit_ms=5_000, changed=lambda: None, rng=rng)
    life = asyncio.ensure_future(keeper.run())
    await keeper.first_outcome.wait()
    life.cancel()
    await asyncio.wait({life})
    return core.pools["p"].replicas["r0"].fault


@pytest.mark.req("OC-POOL-3015")
@pytest.mark.parametrize(
    ("words", "kind"),
    [
        pytest.param(Fault("cuda-error", "exit code 134: CUDA error"), "cuda-error", id="a-process"),
        pytest.param(None, "lost", id="no-process-of-ours"),
    ],
)
async def test_what_an_engine_died_of_is_told_when_it_dies_while_it_comes_up(words: Fault | None, kind: str) -> None:
    fault = await first_fault(Dying(words))

    assert fault is not None
    assert kind == fault.kind

"""A model that cannot come up is started once for each pause, whoever asks for it meanwhile."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from reference_server.domain.breaker import BreakerSettings
from reference_server.domain.errors import RefusedError
from reference_server.domain.tests.builders import core as make_core
from reference_server.domain.tests.builders import pool as make_pool
from reference_server.domain.tests.builders import request
from reference_server.engines.base import Engine, EngineLostError
from reference_server.runtime.launchers import Attached
from reference_server.runtime.replica_keeper import ReplicaKeeper

POLLS = 1_000
LONG = BreakerSettings(pause_ms=60_000, pause_max_ms=60_000)


class NoModel(Attached):
    """Its engine never comes up."""

    def __init__(self) -> None:
        super().__init__(self._fail)
        self.starts = 0

    def _fail(self) -> Engine:
        self.starts += 1
        raise EngineLostError("no model")


async def nothing(launcher: NoModel) -> None:
    """What a refusal does to an engine."""


async def start_again(launcher: NoModel) -> None:
    """The peer's bug: who asks for a model starts it."""
    with suppress(EngineLostError):
        await launcher.start()


async def starts_when_polled(refused: Callable[[NoModel], Awaitable[None]]) -> int:
    """Ask for a task again and again, inside the first pause."""
    core, launcher = make_core(make_pool(), is_ready=False), NoModel()
    core.pools["p"].replicas["r0"].breaker.settings = LONG
    rng = random.Random(1)  # noqa: S311 - jitter
    keeper = ReplicaKeeper("p", "r0", launcher, core, start_limit_ms=5_000, changed=lambda: None, rng=rng)
    life = asyncio.ensure_future(keeper.run())
    await keeper.first_outcome.wait()
    for number in range(POLLS):
        with pytest.raises(RefusedError, match="no model"):
            core.submit(request(f"t{number}"), tokens_in=1, now_ms=number)
        await refused(launcher)
        await asyncio.sleep(0)
    life.cancel()
    await asyncio.wait({life})
    return launcher.starts


@pytest.mark.req("OC-POOL-3011", "OC-POOL-3013")
async def test_a_model_that_cannot_come_up_is_started_once_in_a_pause() -> None:
    """T11: LocalAI #10719."""
    assert 1 == await starts_when_polled(nothing)


@pytest.mark.req("OC-TEST-7006")
async def test_a_model_that_each_request_starts_is_found() -> None:
    assert 1 + POLLS == await starts_when_polled(start_again)

"""The GPUs of a host: what the driver says reaches placement and metrics, and no driver is no GPU."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace

import pynvml
import pytest

from reference_server.domain.devices import DeviceMask, Gpu
from reference_server.domain.pool import Pool
from reference_server.domain.tests import builders
from reference_server.domain.tests.test_devices import BIG, GPUS, SMALL
from reference_server.runtime.gpus import read_gpus, watch_gpus


def pool() -> Pool:
    """Three Ready replicas: on the small card, on the big one, on none."""
    made = builders.pool(replicas=3)
    for replica, mask in zip(made.replicas.values(), (SMALL, BIG, DeviceMask()), strict=True):
        replica.mask = mask
        replica.take("preloaded", facts=builders.FACTS)
    return made


async def looked(watched: Pool, *looks: Sequence[Gpu]) -> None:
    """Let the watcher look so often, and no more."""
    remaining = list(looks)
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def look() -> Sequence[Gpu]:
        if not remaining:
            loop.call_soon_threadsafe(done.set)
            return looks[-1]
        return remaining.pop(0)

    watching = asyncio.create_task(watch_gpus([watched], look=look, pause_s=0))
    await done.wait()
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching


@pytest.mark.req("ORCH-1103", "ORCH-3008", "ORCH-3011")
async def test_placement_knows_the_free_vram_of_each_replicas_own_devices() -> None:
    watched = pool()

    await looked(watched, GPUS)

    assert [(1,), (0,), ()] == [tuple(gpu.index for gpu in r.gpus) for r in watched.replicas.values()]
    small, big, none = (replica.view().vram_free_bytes for replica in watched.replicas.values())
    assert 0 == none < small < big


@pytest.mark.req("ORCH-3053")
async def test_an_ecc_error_is_logged_once_when_it_comes(caplog: pytest.LogCaptureFixture) -> None:
    hurt = [replace(GPUS[0], ecc_errors=1), *GPUS[1:]]

    with caplog.at_level(logging.ERROR):
        await looked(pool(), GPUS, hurt, hurt, hurt)

    assert 1 == len([record for record in caplog.records if "ECC" in record.getMessage()])


@pytest.mark.req("ORCH-1101")
def test_a_host_without_a_driver_has_no_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_driver() -> None:
        raise pynvml.NVMLError_LibraryNotFound

    monkeypatch.setattr(pynvml, "nvmlInit", no_driver)

    assert () == read_gpus()

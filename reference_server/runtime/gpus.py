"""The GPUs of this host, as the driver reports them through NVML.

A host without the driver has none: that is an answer, not an error. Source: ORCH-1103, ORCH-3008, ORCH-3053; NVML API.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from reference_server.domain.devices import Gpu
from reference_server.domain.pool import Pool

LOOK_S = 2.0  # between two looks: VRAM moves when engines load, not from token to token

log = logging.getLogger(__name__)


async def watch_gpus(pools: Sequence[Pool], *, look: Callable[[], Sequence[Gpu]], pause_s: float = LOOK_S) -> None:
    """Keep what placement and metrics know of the GPUs current, until canceled.

    Args:
        look: blocks for milliseconds.
    """
    ecc_errors: dict[str, int] = {}
    while True:
        gpus = await asyncio.to_thread(look)
        for pool in pools:
            pool.see_gpus(gpus)
        for gpu in gpus:
            errors = gpu.ecc_errors or 0
            if errors > ecc_errors.get(gpu.uuid, 0):
                log.error("GPU %s (%s) has had %s uncorrectable ECC errors", gpu.index, gpu.name, errors)
            ecc_errors[gpu.uuid] = errors
        await asyncio.sleep(pause_s)


def read_gpus() -> Sequence[Gpu]:
    """All devices now, by index; empty where there is no driver. Takes milliseconds: call it off the event loop."""
    from reference_server.runtime import nvml  # a server that manages no GPU does not load the driver's bindings

    return nvml.devices()

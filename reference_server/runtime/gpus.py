"""The GPUs of this host, as the driver reports them through NVML.

A host without the driver has none: that is an answer, not an error. Source: ORCH-1103, ORCH-3008, ORCH-3053; NVML API.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

import pynvml

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
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    try:
        return tuple(_read(index) for index in range(pynvml.nvmlDeviceGetCount()))
    except pynvml.NVMLError as error:
        log.warning("the NVIDIA driver does not tell of its GPUs: %s", error)
        return ()
    finally:
        pynvml.nvmlShutdown()


def _read(index: int) -> Gpu:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    return Gpu(
        index=index,
        uuid=str(pynvml.nvmlDeviceGetUUID(handle)),
        name=str(pynvml.nvmlDeviceGetName(handle)),
        vram_total=int(memory.total),
        vram_used=int(memory.used),
        utilization=int(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu),
        ecc_errors=_ecc_errors(handle),
    )


def _ecc_errors(handle: object) -> int | None:
    try:
        return int(
            pynvml.nvmlDeviceGetTotalEccErrors(
                handle, pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_VOLATILE_ECC
            )
        )
    except pynvml.NVMLError:
        return None  # consumer cards do not count them

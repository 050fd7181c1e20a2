"""The devices of the NVIDIA driver, read through NVML. Source: ORCH-1103, ORCH-3053; NVML API."""

import logging
from collections.abc import Sequence

import pynvml

from reference_server.domain.devices import Gpu

log = logging.getLogger(__name__)


def devices() -> Sequence[Gpu]:
    """All devices now, by index; empty where there is no driver."""
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

"""The devices of the NVIDIA driver, read through NVML. Source: ORCH-1103, ORCH-3013, ORCH-3053; NVML API."""

import logging
from collections.abc import Sequence
from pathlib import Path

import pynvml

from reference_server.domain.devices import Gpu
from reference_server.runtime.pci import SYSFS, Place, place_of

log = logging.getLogger(__name__)


def devices(*, sysfs: Path = SYSFS) -> Sequence[Gpu]:
    """All devices now, by index; empty where there is no driver."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    try:
        return tuple(_read(index, sysfs) for index in range(pynvml.nvmlDeviceGetCount()))
    except pynvml.NVMLError as error:
        log.warning("the NVIDIA driver does not tell of its GPUs: %s", error)
        return ()
    finally:
        pynvml.nvmlShutdown()


def _read(index: int, sysfs: Path) -> Gpu:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    place = _place(handle, sysfs)
    return Gpu(
        index=index,
        uuid=str(pynvml.nvmlDeviceGetUUID(handle)),
        name=str(pynvml.nvmlDeviceGetName(handle)),
        vram_total=int(memory.total),
        vram_used=int(memory.used),
        utilization=int(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu),
        ecc_errors=_ecc_errors(handle),
        numa_node=place.numa_node,
        cpus=place.cpus,
        pci_root=place.root,
    )


def _place(handle: object, sysfs: Path) -> Place:
    try:
        bus_id = pynvml.nvmlDeviceGetPciInfo(handle).busId
    except pynvml.NVMLError:
        return Place()
    return place_of(bus_id.decode() if isinstance(bus_id, bytes) else str(bus_id), sysfs=sysfs)


def _ecc_errors(handle: object) -> int | None:
    try:
        return int(
            pynvml.nvmlDeviceGetTotalEccErrors(
                handle, pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_VOLATILE_ECC
            )
        )
    except pynvml.NVMLError:
        return None  # consumer cards do not count them

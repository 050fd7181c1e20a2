"""GPUs, device masks and tensor splits: what a replica may use, and whether its model fits there.

Rules:
1. A mask is the whole truth: a replica uses the devices that it names and no others (ORCH-3011).
2. A model is split over several devices only with explicit ratios, one a device, and the tightest device caps the
   whole: a share that does not fit its own device fails, although another device had room (ORCH-3052, ORCH-1103).
3. Without a mask a replica uses no GPU: it never spreads by itself.
4. An engine runs on the CPUs near its GPUs where the host says which those are (ORCH-3013).

All sizes are bytes. Source: ORCH-1103, ORCH-3003, ORCH-3011, ORCH-3013, ORCH-3052, OC-POOL-3020, OC-POOL-3021.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reference_server.domain.faults import Fault

RATIO_SUM_SLACK = 0.01  # 0.67 + 0.33


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One device, as the driver reports it at one moment.

    Attributes:
        index: the driver's number, as in a mask.
        utilization: percent, 0 … 100.
        ecc_errors: uncorrectable ones since the driver was loaded; None where the device does not count them.
        numa_node: that it is attached to; None where the host gives no hint.
        cpus: of that node; empty where the host gives no hint.
        pci_root: the PCIe root that it is under, `pci0000:00`; None where the host gives no hint.
    """

    index: int
    uuid: str
    name: str
    vram_total: int
    vram_used: int
    utilization: int = 0
    ecc_errors: int | None = None
    numa_node: int | None = None
    cpus: tuple[int, ...] = ()
    pci_root: str | None = None

    @property
    def vram_free(self) -> int:
        return max(0, self.vram_total - self.vram_used)


@dataclass(frozen=True, slots=True)
class DeviceMask:
    """The devices of one replica.

    Attributes:
        devices: indexes in the order of the split, each once; empty = no GPU.
        split: shares of the model, one a device, which add up to 1; empty with one device.
    """

    devices: tuple[int, ...] = ()
    split: tuple[float, ...] = ()

    def wrong(self) -> str | None:
        """What is wrong with the mask as it was configured, or None."""
        if len(set(self.devices)) < len(self.devices):
            return "a device is named twice"
        if len(self.devices) < 2:
            return "tensor_split needs two devices or more" if self.split else None
        if not self.split:
            return "several devices need a tensor_split: one share for each, as in [0.67, 0.33]"
        if len(self.split) != len(self.devices):
            return f"tensor_split has {len(self.split)} shares for {len(self.devices)} devices"
        if min(self.split) <= 0 or abs(sum(self.split) - 1) > RATIO_SUM_SLACK:
            return "the shares of tensor_split must be positive and add up to 1"
        return None

    def shares(self) -> Mapping[int, float]:
        """Each device's share of the model."""
        return dict(zip(self.devices, self.split or (1.0,), strict=True)) if self.devices else {}


def vram_free(mask: DeviceMask, gpus: Sequence[Gpu]) -> int:
    """The largest model that fits now: what the tightest device allows, by its share (ORCH-3052)."""
    free = {gpu.index: gpu.vram_free for gpu in gpus}
    return min((int(free.get(device, 0) / share) for device, share in mask.shares().items()), default=0)


def shortage(mask: DeviceMask, gpus: Sequence[Gpu], *, needs: int, host_free: int) -> Fault | None:
    """Why a model of so many bytes cannot be loaded now, or None when it can be tried (ORCH-3003).

    Args:
        needs: weights and KV cache together.
        host_free: host memory that can be had without swapping.
    """
    if not mask.devices:
        if needs > host_free:
            text = f"host memory is too small: the model needs {_gib(needs)}, {_gib(host_free)} are free"
            return Fault("too-small", text)
        return None
    known = {gpu.index: gpu for gpu in gpus}
    for device, share in mask.shares().items():
        if device not in known:
            seen = ", ".join(map(str, sorted(known))) or "none"
            return Fault("misconfigured", f"GPU {device} is not there; the driver reports: {seen}")
        free = known[device].vram_free
        if needs * share > free:
            part = "the model" if share == 1 else f"a share of {share:g} of the model"
            text = f"VRAM of GPU {device} is too small: {part} needs {_gib(needs * share)}, {_gib(free)} are free"
            return Fault("too-small", text)
    return None


def near_cpus(mask: DeviceMask, gpus: Sequence[Gpu]) -> frozenset[int]:
    """The CPUs of the nodes that the devices of a mask are attached to; empty where one of them has no hint."""
    each = [gpu.cpus for gpu in gpus if gpu.index in mask.devices]
    return frozenset(cpu for cpus in each for cpu in cpus) if all(each) else frozenset()


def apart(mask: DeviceMask, gpus: Sequence[Gpu]) -> str | None:
    """That the devices of a split are under several PCIe roots, or None where they are not, or no hint says so."""
    roots = {gpu.index: gpu.pci_root for gpu in gpus if gpu.index in mask.devices and gpu.pci_root is not None}
    if len(set(roots.values())) < 2:
        return None
    where = ", ".join(f"GPU {device} under {roots[device]}" for device in sorted(roots))
    return f"the model is split over several PCIe roots, which is slower: {where}"


def _gib(size: float) -> str:
    return f"{size / 2**30:.1f} GiB"

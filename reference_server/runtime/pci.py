"""Where a PCI device is attached, by the kernel's sysfs: hints of the host, which may give none.

Source: ORCH-3013; the kernel's Documentation/ABI/testing/sysfs-bus-pci.
"""

import re
from dataclasses import dataclass
from pathlib import Path

SYSFS = Path("/sys")
ROOT = re.compile(r"pci[0-9a-f]{4,8}:[0-9a-f]{2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Hints about one device.

    Attributes:
        numa_node: None = no hint, as on a host with one node whose firmware tells of none.
        cpus: of that node; empty without one.
        root: the host bridge that it is under, `pci0000:00`.
    """

    numa_node: int | None = None
    cpus: tuple[int, ...] = ()
    root: str | None = None


def place_of(bus_id: str, *, sysfs: Path = SYSFS) -> Place:
    """The place of one device; all of it None or empty where sysfs does not tell.

    Args:
        bus_id: `0000:01:00.0`, or NVML's form with eight digits of domain.
    """
    domain, _, rest = bus_id.lower().partition(":")
    folder = (sysfs / "bus/pci/devices" / f"{domain[-4:]}:{rest}").resolve()
    root = next((part for part in folder.parts if ROOT.fullmatch(part)), None)
    try:
        node = int((folder / "numa_node").read_text(encoding="ascii"))
        cpus = cpus_of((folder / "local_cpulist").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return Place(root=root)
    return Place(root=root) if node < 0 else Place(numa_node=node, cpus=cpus, root=root)


def cpus_of(cpulist: str) -> tuple[int, ...]:
    """The CPUs of the kernel's list format, `0-3,8`. Raises ValueError: it is none."""
    ranges = [part.partition("-") for part in cpulist.strip().split(",") if part]
    return tuple(cpu for first, _, last in ranges for cpu in range(int(first), int(last or first) + 1))

"""Where devices are attached: sysfs as a two-socket host has it, and this host's own."""

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pynvml
import pytest

from reference_server.config import SupervisedEngine
from reference_server.domain.tests.test_devices import GPUS
from reference_server.runtime import nvml, supervised
from reference_server.runtime.engine_process import EngineProcess, narrowed
from reference_server.runtime.pci import SYSFS, Place, cpus_of, place_of
from reference_server.runtime.supervised import Supervised

# Below /sys/devices, as a host with two sockets has them: path of the device, its node, the CPUs near it.
TWO_SOCKETS = {
    "pci0000:00/0000:00:01.0/0000:01:00.0": ("0", "0-3,8-11"),
    "pci0000:80/0000:80:02.0/0000:81:00.0": ("1", "4-7,12-15"),
}
CPU = min(os.sched_getaffinity(0))
STATUS = "import re; print(re.search(r'Cpus_allowed_list:\\s*(\\S+)', open('/proc/self/status').read())[1])"


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    return recorded(tmp_path, TWO_SOCKETS)


def recorded(root: Path, devices: Mapping[str, tuple[str, str]]) -> Path:
    """Write a tree like sysfs."""
    (root / "bus/pci/devices").mkdir(parents=True)
    for path, (node, cpus) in devices.items():
        folder = root / "devices" / path
        folder.mkdir(parents=True)
        (folder / "numa_node").write_text(f"{node}\n")
        (folder / "local_cpulist").write_text(f"{cpus}\n")
        (root / "bus/pci/devices" / folder.name).symlink_to(folder)
    return root


@pytest.mark.req("ORCH-3013")
@pytest.mark.parametrize("bus_id", ["0000:81:00.0", "00000000:81:00.0"])
def test_node_cpus_and_root_follow_from_the_bus_id(sysfs: Path, bus_id: str) -> None:
    expected = Place(numa_node=1, cpus=(4, 5, 6, 7, 12, 13, 14, 15), root="pci0000:80")

    assert expected == place_of(bus_id, sysfs=sysfs)


@pytest.mark.req("ORCH-3013")
def test_a_host_that_gives_no_hint_has_none(tmp_path: Path) -> None:
    """The kernel says node -1 then, and lists all CPUs as near."""
    sysfs = recorded(tmp_path, {"pci0000:00/0000:0a:00.0": ("-1", "0-15"), "pci0000:00/0000:0b:00.0": ("unknown", "")})

    assert Place(root="pci0000:00") == place_of("00000000:0A:00.0", sysfs=sysfs)
    assert Place(root="pci0000:00") == place_of("0000:0b:00.0", sysfs=sysfs)
    assert Place() == place_of("0000:0c:00.0", sysfs=sysfs)


@pytest.mark.req("ORCH-3013")
@pytest.mark.parametrize(("listed", "cpus"), [("0-3,8", (0, 1, 2, 3, 8)), ("5", (5,)), ("\n", ())])
def test_lists_of_cpus_are_the_kernels(listed: str, cpus: tuple[int, ...]) -> None:
    assert cpus == cpus_of(listed)


@pytest.mark.req("ORCH-3013")
def test_every_device_of_this_host_has_a_place_or_none() -> None:
    folder = SYSFS / "bus/pci/devices"
    places = {path.name: place_of(path.name) for path in folder.iterdir()} if folder.exists() else {}

    assert {} == {name: place for name, place in places.items() if (place.numa_node is None) != (place.cpus == ())}
    assert all(place.root is None or place.root.startswith("pci") for place in places.values()), places


@pytest.mark.req("ORCH-3013")
def test_stand_in_driver_and_recorded_sysfs_give_each_gpu_its_place(
    monkeypatch: pytest.MonkeyPatch, sysfs: Path
) -> None:
    bus_ids = ["00000000:01:00.0", b"00000000:81:00.0"]  # text or bytes, by the version of the bindings
    answers = {
        "nvmlInit": lambda: None,
        "nvmlShutdown": lambda: None,
        "nvmlDeviceGetCount": lambda: len(bus_ids),
        "nvmlDeviceGetHandleByIndex": lambda index: index,
        "nvmlDeviceGetMemoryInfo": lambda _: SimpleNamespace(total=2, used=1),
        "nvmlDeviceGetUUID": str,
        "nvmlDeviceGetName": str,
        "nvmlDeviceGetUtilizationRates": lambda _: SimpleNamespace(gpu=0),
        "nvmlDeviceGetTotalEccErrors": lambda *_: 0,
        "nvmlDeviceGetPciInfo": lambda handle: SimpleNamespace(busId=bus_ids[handle]),
    }
    for name, answer in answers.items():
        monkeypatch.setattr(pynvml, name, answer)

    told = [(gpu.numa_node, gpu.cpus[0], gpu.pci_root) for gpu in nvml.devices(sysfs=sysfs)]
    assert [(0, 0, "pci0000:00"), (1, 4, "pci0000:80")] == told


@pytest.mark.req("ORCH-3013")
@pytest.mark.parametrize(("cpus", "expected"), [(frozenset({CPU}), {CPU}), (frozenset(), os.sched_getaffinity(0))])
async def test_a_process_runs_on_the_cpus_that_it_was_given(cpus: frozenset[int], expected: set[int]) -> None:
    process = await EngineProcess.start([sys.executable, "-c", "import time; time.sleep(60)"], cpus=cpus)
    given = os.sched_getaffinity(process.pid)
    await process.stop()

    assert expected == given


@pytest.mark.req("ORCH-3013")
def test_cpus_that_are_not_ours_or_all_that_we_have_narrow_nothing() -> None:
    ours = frozenset(os.sched_getaffinity(0))

    assert frozenset() == narrowed(frozenset()) == narrowed(ours) == narrowed(frozenset({max(ours) + 1}))


@pytest.mark.req("ORCH-3013")
@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        pytest.param((CPU,), {CPU}, id="the-cpus-near-its-gpu"),
        pytest.param((), set(os.sched_getaffinity(0)), id="no-hint"),
        pytest.param((9_999,), set(os.sched_getaffinity(0)), id="a-hint-that-leaves-none"),
    ],
)
async def test_an_engine_runs_near_its_gpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hint: tuple[int, ...], expected: set[int]
) -> None:
    monkeypatch.setattr(supervised, "read_gpus", lambda: [replace(gpu, cpus=hint) for gpu in GPUS])
    engine, model = tmp_path / "llama-server", tmp_path / "m.gguf"
    engine.write_text(f"#!{sys.executable}\n{STATUS}\n")
    engine.chmod(0o755)
    model.write_bytes(b"GGUF")
    settings = SupervisedEngine(binary=str(engine), model_file=str(model), devices=(0,))
    started = Supervised(settings)
    await started.start()
    words = (await started.lost()).text
    await started.stop()

    assert expected == set(cpus_of(words.rpartition(" ")[2])), words


@pytest.mark.req("ORCH-3013", "ORCH-3052")
async def test_a_split_over_two_roots_is_started_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gpus = [replace(gpu, pci_root=f"pci0000:{gpu.index}0") for gpu in GPUS]
    monkeypatch.setattr(supervised, "read_gpus", lambda: gpus)
    engine, model = tmp_path / "llama-server", tmp_path / "m.gguf"
    engine.write_text("#!/bin/sh\n")
    engine.chmod(0o755)
    model.write_bytes(b"GGUF")
    one = SupervisedEngine(binary=str(engine), model_file=str(model), devices=(0,))
    for settings in (one, msgspec.structs.replace(one, devices=(0, 1), tensor_split=(0.5, 0.5))):
        started = Supervised(settings)
        await started.start()
        await started.stop()

    warned = [record.getMessage() for record in caplog.records if "PCIe" in record.getMessage()]
    assert [True] == [words.endswith("GPU 0 under pci0000:00, GPU 1 under pci0000:10") for words in warned]

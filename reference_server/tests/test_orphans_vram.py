"""What the processes of a killed server's engines held of a GPU is free again before the next engine is started.

Real: the server, its processes, the kill. Stand-ins: the engine, and NVML, for a GPU's memory cannot be filled where
there is none: its GPU 0 has 24 GiB, and each living process that an engine of this test has started holds 16 of them.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reference_server.tests.test_pool_failures import health, pool_of
from reference_server.tests.test_serve import call, task

HELD = 16 * 2**30  # two of them are more than the GPU has
NVML = """import os
from pathlib import Path
from types import SimpleNamespace

NVML_MEMORY_ERROR_TYPE_UNCORRECTED = NVML_VOLATILE_ECC = 1
NVMLError = OSError

def nvmlInit(): return None
def nvmlShutdown(): return None
def nvmlDeviceGetCount(): return 1
def nvmlDeviceGetHandleByIndex(index): return index
def nvmlDeviceGetUUID(handle): return "GPU-0"
def nvmlDeviceGetName(handle): return "stand-in"
def nvmlDeviceGetUtilizationRates(handle): return SimpleNamespace(gpu=0)
def nvmlDeviceGetPciInfo(handle): raise NVMLError
def nvmlDeviceGetTotalEccErrors(handle, kind, counter): raise NVMLError

def nvmlDeviceGetMemoryInfo(handle):
    holders = [path.name for path in Path(os.environ["HOLDERS"]).iterdir()]
    alive = [name for name in holders if Path("/proc", name, "exe").exists()]
    return SimpleNamespace(total=24 * 2**30, used=len(alive) * 16 * 2**30)
"""
ENGINE = f"""
setsid sleep 300 &
: > "$HOLDERS/$!"
exec {sys.executable} -m harness.engines llamacpp "$@"
"""


@pytest.fixture
def holders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A folder that names who holds memory of the GPU, which servers see now; in the end they are ended."""
    holders = tmp_path / "holders"
    holders.mkdir()
    (tmp_path / "pynvml.py").write_text(NVML)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("HOLDERS", str(holders))
    yield holders
    for pid in alive(holders):
        os.kill(pid, signal.SIGKILL)


def alive(holders: Path) -> set[int]:
    """The processes that hold memory."""
    return {int(path.name) for path in holders.iterdir() if Path("/proc", path.name, "exe").exists()}


def vram_used(url: str) -> set[float]:
    """What `/metrics` tells of the GPU."""
    lines = call(f"{url}/metrics").decode().splitlines()
    return {float(line.rpartition(" ")[2]) for line in lines if line.startswith("vram_used_bytes{")}


@pytest.mark.req("OC-POOL-3042", "ORCH-1103", "ORCH-3003", "ORCH-3053")
def test_stand_in_vram_of_a_killed_servers_engine_is_there_for_the_next_one(tmp_path: Path, holders: Path) -> None:
    """T12: GPUStack #2595, LocalAI #2866. The memory that an orphan holds would be too little for a second engine."""
    needs: dict[str, object] = {"memory_bytes": HELD, "devices": [0]}
    with pool_of(tmp_path, ENGINE, **needs) as (process, url):
        assert health(url)["ready"], health(url)
        before = alive(holders)
        while vram_used(url) != {HELD}:  # it looks every 2 s
            time.sleep(0.05)
        process.kill()
        process.wait(timeout=10)
        assert before == alive(holders), "the engine's process is to outlive the kill"
        with pool_of(tmp_path, ENGINE, **needs) as (_, again):
            assert health(again)["ready"], health(again)
            body = task()
            call(f"{again}/v1/tasks", body)
            stream = call(f"{again}/v1/tasks/{body['task_id']}/stream").decode()
            after = alive(holders)
            while vram_used(again) != {HELD}:
                time.sleep(0.05)

    assert "event: end" in stream
    assert (1, 1, set()) == (len(before), len(after), before & after)

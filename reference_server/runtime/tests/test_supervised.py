"""How an engine of ours is started: its command line, what it sees of the GPUs, and when it is not started at all."""

import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from reference_server.config import SupervisedEngine
from reference_server.domain.tests.test_devices import GPUS
from reference_server.runtime import supervised
from reference_server.runtime.command_lines import arguments, visible_devices
from reference_server.runtime.engine_process import EngineProcess
from reference_server.runtime.launchers import FaultError
from reference_server.runtime.supervised import Supervised, memory_shortage

GIB = 2**30


def line(settings: SupervisedEngine) -> str:
    return " ".join(arguments("llamacpp", settings, model="m.gguf", host="127.0.0.1", ports=(1, 2)))


@pytest.mark.req("ORCH-3052", "ORCH-3011")
def test_one_device_holds_the_whole_model() -> None:
    assert "-ngl 999 --split-mode none" in line(SupervisedEngine(devices=(1,)))


@pytest.mark.req("ORCH-3052")
def test_several_devices_share_it_by_the_ratios_that_were_given() -> None:
    shown = line(SupervisedEngine(devices=(0, 1), tensor_split=(0.67, 0.33)))

    assert "--split-mode layer --tensor-split 0.67,0.33" in shown


@pytest.mark.req("OC-POOL-3012")
def test_without_devices_no_layer_is_sent_to_a_gpu() -> None:
    assert "-ngl" not in line(SupervisedEngine())


@pytest.mark.req("OC-POOL-3020", "OC-POOL-3012", "OC-CORE-1011")
@pytest.mark.parametrize(("devices", "seen"), [((), "[]"), ((1,), "[1]"), ((1, 0), "[1,0]")])
async def test_a_process_sees_the_devices_of_its_mask_and_no_others(
    monkeypatch: pytest.MonkeyPatch, devices: tuple[int, ...], seen: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    code = "import os; print('[' + os.environ['CUDA_VISIBLE_DEVICES'] + ']')"

    process = await EngineProcess.start([sys.executable, "-c", code], environment=visible_devices(devices))

    assert seen in (await process.exited()).text
    await process.stop()


@pytest.mark.req("ORCH-3003", "OC-POOL-3021")
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (SupervisedEngine(memory_bytes=10**18), "host memory is too small"),
        (SupervisedEngine(memory_bytes=20 * GIB, devices=(1,)), "VRAM of GPU 1 is too small"),
        (SupervisedEngine(memory_bytes=GIB, devices=(2,)), "GPU 2 is not there"),
    ],
)
async def test_an_engine_whose_model_does_not_fit_is_not_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: SupervisedEngine, said: str
) -> None:
    monkeypatch.setattr(supervised, "read_gpus", lambda: GPUS)
    model = tmp_path / "m.gguf"
    model.write_bytes(b"GGUF")
    started = tmp_path / "started"
    engine = tmp_path / "llama-server"
    engine.write_text(f"#!/bin/sh\ntouch {started}\n")
    engine.chmod(0o755)

    with pytest.raises(FaultError, match=said):
        await Supervised(replace(settings, binary=str(engine), model_file=str(model))).start()
    assert not started.exists()


@pytest.mark.req("ORCH-3003")
def test_the_weights_and_a_tenth_are_what_it_needs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model = tmp_path / "m.gguf"
    model.write_bytes(b"x" * 1000)

    monkeypatch.setattr(supervised, "host_memory_free", lambda: 1100)
    assert memory_shortage(SupervisedEngine(), model) is None
    monkeypatch.setattr(supervised, "host_memory_free", lambda: 1099)
    assert memory_shortage(SupervisedEngine(), model) is not None


@pytest.mark.req("ORCH-3037", "ORCH-3093")
async def test_weights_that_the_catalog_has_another_digest_for_are_not_even_loaded(tmp_path: Path) -> None:
    engine, model = tmp_path / "engine", tmp_path / "m.gguf"
    engine.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    engine.chmod(0o755)
    model.write_bytes(b"weights")
    settings = SupervisedEngine(binary=str(engine), model_file=str(model))

    with pytest.raises(FaultError, match="not loaded"):
        await Supervised(settings, expected_digest=lambda: "sha256:" + "0" * 64).start()

    assert not (tmp_path / "started").exists()

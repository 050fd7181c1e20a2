"""A llama-server of our own: found in the cache or where the configuration says, started on a free port, watched.

Source: ORCH-3001, ORCH-3002, ORCH-3201.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import IO

import msgspec

from reference_server.config import SupervisedEngine
from reference_server.domain.devices import DeviceMask, shortage
from reference_server.domain.faults import Fault
from reference_server.engines.base import Engine, EngineMissingError
from reference_server.engines.http import digest_of
from reference_server.engines.llamacpp import LlamaCpp
from reference_server.provision import cache, room
from reference_server.runtime.engine_process import EngineProcess
from reference_server.runtime.gpus import read_gpus
from reference_server.runtime.launchers import FaultError
from reference_server.runtime.orphans import mark


class Supervised:
    """Launches one llama-server, again and again if need be."""

    def __init__(
        self,
        settings: SupervisedEngine,
        *,
        model_ref: str | None = None,
        expected_digest: Callable[[], str | None] = lambda: None,
        bring: Callable[[], Awaitable[str | None]] | None = None,
    ) -> None:
        """Know how to launch.

        Args:
            bring: fetches the model and tells its path; None, or a path of None = it is a file, or in the cache.
        """
        self._settings = settings
        self._expected_digest = expected_digest
        self._model_ref = model_ref
        self._bring = bring
        self._brought: str | None = None
        self._in_use: IO[str] | None = None
        self._process: EngineProcess | None = None
        self._engine: LlamaCpp | None = None

    async def prepare(self) -> None:
        """Bring the model. Raises `FaultError`: it is not here, and cannot be brought."""
        if self._bring is not None and self._settings.model_file is None:
            self._brought = await self._bring()

    async def start(self) -> Engine:
        """Start the process; it is still loading.

        Raises:
            EngineMissingError: no binary or model, or the binary cannot be run.
        """
        port = _free_port()
        model = self._settings.model_file or self._brought or self._model()
        self._hold(Path(model).parent)
        await self._require_memory(Path(model))
        await self._require_digest(model)
        command = command_line(self._settings, binary=self._binary(), model=model, port=port)
        try:
            self._process = await EngineProcess.start(
                command, environment={**mark(), **visible_devices(self._settings.devices)}
            )
        except OSError as error:
            raise EngineMissingError(f"{command[0]}: cannot be started: {error.strerror}") from None
        self._engine = LlamaCpp(f"http://127.0.0.1:{port}", model_file=model)
        return self._engine

    async def lost(self) -> Fault:
        """How the process ended."""
        assert self._process is not None  # noqa: S101 - asked after `start` only
        return await self._process.exited()

    def shrink(self) -> str | None:
        """Half the slots, and with them half the KV cache (ORCH-3039)."""
        if self._settings.slots < 2:
            return None
        self._settings = msgspec.structs.replace(self._settings, slots=self._settings.slots // 2)
        return f"{self._settings.slots} slots"

    async def stop(self) -> None:
        """End the process and close the connections."""
        if self._engine is not None:
            await self._engine.close()
            self._engine = None
        if self._process is not None:
            await self._process.stop()
            self._process = None
        if self._in_use is not None:
            self._in_use.close()
            self._in_use = None

    def _hold(self, folder: Path) -> None:
        """Keep a model of the cache from being evicted while it is loaded."""
        if self._in_use is None and cache.manifest_of(folder) is not None:
            self._in_use = room.hold(folder)

    async def _require_memory(self, model: Path) -> None:
        """Fail now rather than after minutes of loading (ORCH-3003).

        Raises:
            FaultError: the weights do not fit where they should go.
        """
        fault = await asyncio.to_thread(memory_shortage, self._settings, model)
        if fault is not None:
            raise FaultError(fault)

    async def _require_digest(self, model: str) -> None:
        """Load nothing that the catalog has another digest for; without an entry nothing is read (ORCH-3037).

        Raises:
            FaultError: the weights differ.
        """
        if (expected := self._expected_digest()) is None:
            return
        if (found := await asyncio.to_thread(digest_of, model)) != expected:
            raise FaultError(Fault("mismatch", f"{model} has {found}, and the catalog has {expected}: not loaded"))

    def _model(self) -> str:
        """The file of the model_ref that was reloaded to; the installed model where the configuration names none."""
        if self._model_ref is None:
            return _from_cache("models", "path")
        installed = {manifest["id"]: manifest["path"] for manifest in cache.installed("models")}
        path = Path(installed.get(self._model_ref, self._model_ref.removeprefix("file:")))
        if not path.is_file():
            raise EngineMissingError(
                f"{self._model_ref}: no such file, and no installed model; installed: {', '.join(installed) or 'none'}"
            )
        return str(path)

    def _binary(self) -> str:
        return self._settings.binary or _from_cache("engines", "binary")


def command_line(settings: SupervisedEngine, *, binary: str, model: str, port: int) -> list[str]:
    """llama-server's arguments: `ctx` is per slot here and shared there; one slot runs without continuous batching."""
    line = [binary, "-m", model, "--host", "127.0.0.1", "--port", str(port), "--metrics", "--slots"]
    line += ["--parallel", str(settings.slots), "-c", str(settings.slots * settings.ctx)]
    if settings.threads is not None:
        line += ["-t", str(settings.threads)]
    if settings.slots == 1:
        line.append("--no-cont-batching")
    if settings.devices:
        line += ["-ngl", "999", "--split-mode", "layer" if settings.tensor_split else "none"]
    if settings.tensor_split:
        line += ["--tensor-split", ",".join(f"{share:g}" for share in settings.tensor_split)]
    return [*line, *settings.args]


def memory_shortage(settings: SupervisedEngine, model: Path) -> Fault | None:
    """Why the weights do not fit where they should go, or None. Blocks for milliseconds."""
    size = model.stat().st_size if model.is_file() else 0
    return shortage(
        DeviceMask(settings.devices, settings.tensor_split),
        read_gpus() if settings.devices else (),
        needs=settings.memory_bytes or size + size // 10,
        host_free=host_memory_free(),
    )


def visible_devices(devices: Sequence[int]) -> dict[str, str]:
    """What makes a CUDA program see these devices and no others; empty = none (CUDA C++ Programming Guide, J)."""
    return {"CUDA_VISIBLE_DEVICES": ",".join(map(str, devices)), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


def host_memory_free() -> int:
    """Bytes that can be had without swapping (proc(5), meminfo)."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))


def _from_cache(kind: str, field: str) -> str:
    for manifest in cache.installed(kind):
        if Path(manifest[field]).exists():
            return manifest[field]
    raise EngineMissingError(f"the cache has no {kind}; run: llama-orch engines install llamacpp --with-model")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

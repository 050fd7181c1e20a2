"""An engine of our own: brought as its pool says, started on free ports as a process or in a container, watched.

Source: ORCH-3001, ORCH-3002, ORCH-3013, ORCH-3200, ORCH-3201, OC-POOL-3043.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import IO

import msgspec

from reference_server.config import EngineName, ExternalEngine, SupervisedEngine
from reference_server.domain.devices import DeviceMask, apart, near_cpus, shortage
from reference_server.domain.faults import Fault
from reference_server.engines.base import Engine, EngineMissingError
from reference_server.provision import cache, container, room
from reference_server.provision.container import Container
from reference_server.runtime.adapters import attach
from reference_server.runtime.command_lines import start_of
from reference_server.runtime.engine_process import EngineProcess, narrowed
from reference_server.runtime.gpus import read_gpus
from reference_server.runtime.launchers import FaultError
from reference_server.runtime.model_files import weights_digest
from reference_server.runtime.orphans import is_gone, mark

log = logging.getLogger(__name__)


class Supervised:
    """Launches one engine, again and again if need be."""

    def __init__(
        self,
        settings: SupervisedEngine,
        *,
        name: EngineName = "llamacpp",
        install: Callable[[], Awaitable[Mapping[str, str] | None]] | None = None,
        model_ref: str | None = None,
        expected_digest: Callable[[], str | None] = lambda: None,
        bring: Callable[[], Awaitable[str | None]] | None = None,
    ) -> None:
        """Know how to launch.

        Args:
            name: of the engine.
            install: brings the engine and tells its manifest; None = it is `binary`.
            bring: fetches the model and tells its path; None, or a path of None = it is a file, or in the cache.
        """
        self._settings = settings
        self._name = name
        self._install = install
        self._expected_digest = expected_digest
        self._model_ref = model_ref
        self._bring = bring
        self._installed: Mapping[str, str] | None = None
        self._brought: str | None = None
        self._in_use: IO[str] | None = None
        self._process: EngineProcess | None = None
        self._container: Container | None = None
        self._engine: Engine | None = None

    async def prepare(self) -> None:
        """Bring the engine, then the model. Raises `FaultError`: one is not here, and cannot be brought."""
        if self._install is not None and self._settings.binary is None and self._installed is None:
            self._installed = await self._install()
            if self._installed is not None and "runtime" in self._installed:
                await asyncio.to_thread(end_left_behind, self._installed["runtime"])
        if self._bring is not None and self._settings.model_file is None:
            self._brought = await self._bring()

    async def start(self) -> Engine:
        """Start the process; it is still loading.

        Raises:
            EngineMissingError: no binary or model, or the binary cannot be run.
        """
        ports = _free_ports()
        model = self._settings.model_file or self._brought or self._model()
        self._hold(Path(model).parent)
        await self._require_memory(Path(model))
        await self._require_digest(model)
        start = start_of(self._name, self._settings, self._what(), model=model, ports=ports)
        cpus = await self._near_cpus() if start.container is None else frozenset[int]()
        environment = {**mark(), **start.environment}
        try:
            self._process = await EngineProcess.start(start.command, environment=environment, cpus=cpus)
        except OSError as error:
            self._installed = None  # looked for anew at the next try
            raise EngineMissingError(f"{start.command[0]}: cannot be started: {error.strerror}") from None
        self._container = start.container
        is_file = await asyncio.to_thread(Path(model).is_file)
        self._engine = attach(
            self._name,
            ExternalEngine(
                url=f"http://127.0.0.1:{ports[0]}",
                metrics_url=f"http://127.0.0.1:{ports[1]}" if self._name == "triton" else None,
                model_file=model if is_file else None,
                slots=self._settings.slots,
                ctx=self._settings.ctx,
            ),
        )
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
        if self._container is not None:  # its client has ended; the container itself may not have
            await asyncio.to_thread(container.end, self._container.remove())
            self._container = None
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

    async def _near_cpus(self) -> frozenset[int]:
        """The CPUs near its GPUs, as far as the host tells; a container's runtime places what it starts itself."""
        mask = DeviceMask(self._settings.devices, self._settings.tensor_split)
        gpus = await asyncio.to_thread(read_gpus) if mask.devices else ()
        if (why := apart(mask, gpus)) is not None:
            log.warning("%s", why)
        if cpus := narrowed(near_cpus(mask, gpus)):
            log.info("the engine on GPU %s keeps to the CPUs near it: %s", list(mask.devices), sorted(cpus))
        return cpus

    async def _require_digest(self, model: str) -> None:
        """Load nothing that the catalog has another digest for; without an entry nothing is read (ORCH-3037).

        Raises:
            FaultError: the weights differ.
        """
        if (expected := self._expected_digest()) is None:
            return
        if (found := await asyncio.to_thread(weights_digest, model)) != expected:
            raise FaultError(Fault("mismatch", f"{model} has {found}, and the catalog has {expected}: not loaded"))

    def _model(self) -> str:
        """The file of the model_ref that was reloaded to; the installed model where the configuration names none."""
        if self._model_ref is None:
            return _installed_model()
        installed = {manifest["id"]: manifest["path"] for manifest in cache.installed("models")}
        path = Path(installed.get(self._model_ref, self._model_ref.removeprefix("file:")))
        if not path.exists():
            raise EngineMissingError(
                f"{self._model_ref}: no such file, and no installed model; installed: {', '.join(installed) or 'none'}"
            )
        return str(path)

    def _what(self) -> Mapping[str, str]:
        """The engine's manifest, or as much as there is of one."""
        if self._settings.binary is not None:
            return {"binary": self._settings.binary}
        if self._installed is None:
            raise EngineMissingError("no engine was brought, and the replica names no `binary`")
        return self._installed


def end_left_behind(runtime: str) -> None:
    """End the containers of servers that are gone: they are the runtime's children, and outlived theirs. Blocks."""
    for name in container.running(runtime):
        pid, _, started = name.removeprefix(container.PREFIX).rpartition("-")[0].partition("-")
        if pid.isdigit() and is_gone(int(pid), started):
            container.end([runtime, "rm", "--force", name])


def memory_shortage(settings: SupervisedEngine, model: Path) -> Fault | None:
    """Why the weights do not fit where they should go, or None. Blocks for milliseconds."""
    files = [model] if model.is_file() else [path for path in model.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    return shortage(
        DeviceMask(settings.devices, settings.tensor_split),
        read_gpus() if settings.devices else (),
        needs=settings.memory_bytes or size + size // 10,
        host_free=host_memory_free(),
    )


def host_memory_free() -> int:
    """Bytes that can be had without swapping (proc(5), meminfo)."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))


def _installed_model() -> str:
    for manifest in cache.installed("models"):
        if Path(manifest["path"]).is_file():
            return manifest["path"]
    raise EngineMissingError("the cache has no models; run: llama-orch engines install llamacpp --with-model")


def _free_ports() -> tuple[int, int]:
    """Two ports that nobody listens on now: of the API and of the metrics."""
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        return int(first.getsockname()[1]), int(second.getsockname()[1])

"""A llama-server of our own: found in the cache or where the configuration says, started on a free port, watched.

Source: ORCH-3001, ORCH-3002, ORCH-3201.
"""

import socket
from pathlib import Path

import msgspec

from reference_server.config import SupervisedEngine
from reference_server.domain.faults import Fault
from reference_server.engines.base import Engine, EngineMissingError
from reference_server.engines.llamacpp import LlamaCpp
from reference_server.provision import cache
from reference_server.runtime.engine_process import EngineProcess


class Supervised:
    """Launches one llama-server, again and again if need be."""

    def __init__(self, settings: SupervisedEngine, *, model_ref: str | None = None) -> None:
        self._settings = settings
        self._model_ref = model_ref
        self._process: EngineProcess | None = None
        self._engine: LlamaCpp | None = None

    async def start(self) -> Engine:
        """Start the process; it is still loading.

        Raises:
            EngineMissingError: no binary or model, or the binary cannot be run.
        """
        port = _free_port()
        model = self._settings.model_file or self._model()
        command = command_line(self._settings, binary=self._binary(), model=model, port=port)
        try:
            self._process = await EngineProcess.start(command)
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
    return [*line, *settings.args]


def _from_cache(kind: str, field: str) -> str:
    for manifest in cache.installed(kind):
        if Path(manifest[field]).exists():
            return manifest[field]
    raise EngineMissingError(f"the cache has no {kind}; run: llama-orch engines install llamacpp --with-model")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

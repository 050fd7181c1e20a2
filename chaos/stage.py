"""Sets a run up and takes it down: folder, engine, proxies, server; whatever happens, nothing of it is left running."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from chaos.engines import Engines
from chaos.faults.fault import Kind
from chaos.proxy import Proxy
from chaos.record import FORMAT, Recorder
from chaos.scene import Scene
from chaos.server import ChaosServer
from chaos.workloads.workload import Workload
from harness.target import REFERENCE_SERVER, CannotRunError

STATE_ARGUMENTS = ("--config", "{config}", "--state-dir", "{state}")


class UsageError(Exception):
    """These options do not go together; the text says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What to run.

    Attributes:
        kinds: the faults.
        blows: so many instead of `duration_ms`.
        command: of the server; None = the reference server.
        engine: `supervised`, `attached`, or None: as the faults need it.
        idle_ms: the longest wait for the server to be idle: for restarts of engines, what waits, and a slow machine.
        repeat: the command line that repeats the run.
    """

    seed: int
    workload: Workload
    kinds: tuple[Kind, ...]
    duration_ms: int
    blows: int | None = None
    command: tuple[str, ...] | None = None
    engine: str | None = None
    idle_ms: float = 60_000
    repeat: str = ""

    @property
    def engine_kind(self) -> str:
        """Whose child the engine is.

        Raises:
            UsageError: one fault needs the one, another the other.
        """
        wanted: dict[str, str] = {kind.engine: kind.name for kind in self.kinds if kind.engine != "any"}
        if self.engine is not None:
            wanted.setdefault(self.engine, f"--engine {self.engine}")
        if len(wanted) > 1:
            one, other = wanted.values()
            raise UsageError(f"{one} and {other} need different engines: run them apart")
        return next(iter(wanted), "supervised")


def reference_command() -> tuple[str, ...]:
    """The reference server, on a state folder that the run keeps."""
    return (*REFERENCE_SERVER, *STATE_ARGUMENTS)


@contextmanager
def set_up(options: Options, folder: Path) -> Iterator[Scene]:
    """A scene whose server is ready.

    Raises:
        CannotRunError: the server or its engine did not come up.
    """
    pool, kind = options.workload.pool, options.engine_kind
    recorder = Recorder(folder / "history.jsonl")
    with ExitStack() as stack:
        stack.callback(recorder.close)
        recorder.add("run", **_facts(options))
        engines = Engines(pool, folder=folder)
        stack.callback(engines.stop)
        back = None
        if kind == "attached":
            url = engines.attach()
            if any(k.where == "engine" for k in options.kinds):
                back = stack.enter_context(Proxy(url))
                url = back.url
            replica = {"kind": "external", "url": url}
        else:
            replica = engines.supervised()
        command = options.command or reference_command()
        server = ChaosServer(command, pool.settings(replica), folder=folder, recorder=recorder)
        stack.callback(server.stop)
        server.start()
        is_fronted = any(k.where == "clients" for k in options.kinds)
        front = stack.enter_context(Proxy(server.url)) if is_fronted else None
        scene = Scene(options.workload, server, engines, recorder, front=front, back=back)
        _ask_offer(scene)
        yield scene


def _ask_offer(scene: Scene) -> None:
    rows = scene.server.target().capabilities()["engines"]
    row = next((row for row in rows if "completion" in row.get("supported_workloads", ())), None)
    if row is None:
        raise CannotRunError("the server offers no engine that completes text")
    scene.offer = {"engine": row["engine"], "model_ref": row.get("model_ref", "default")}
    scene.pool_id = row.get("pool_id", "default")


def _facts(options: Options) -> dict[str, object]:
    pool = options.workload.pool
    return {
        "format": FORMAT,
        "seed": options.seed,
        "workload": options.workload.name,
        "faults": [kind.name for kind in options.kinds],
        "engine": options.engine_kind,
        "slots": pool.slots,
        "capacity": pool.capacity,
        "policy": pool.policy,
        "budget_tokens": pool.budget_tokens,
        "repeat": options.repeat,
    }

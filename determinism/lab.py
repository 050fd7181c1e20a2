"""Servers and engines of a run, started and stopped, and streams decoded again under chosen conditions."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from determinism.explain import SIBLINGS_TRIED
from determinism.prompts import PROMPTS
from determinism.recording import Conditions, Identity, Recording, Undecoded
from determinism.replay import Decoding, Direct, Orchestrated
from determinism.seeds import Case
from determinism.settings import STARTED_HERE, Setup, server_settings
from harness.engines import real
from harness.engines.direct import DirectEngine, direct
from harness.engines.real_engine import RealEngine
from harness.engines.real_llamacpp import installed
from harness.target import REFERENCE_SERVER, Servers, Target

TRIES = 6  # for a replica that tasks cannot be sent to


class Started(Protocol):
    """An engine that the bench has started."""

    url: str

    def stop(self) -> None:
        """Stop it."""


Launch = Callable[[int, Path], Started]
"""Starts the engine with this number, which keeps its logs in this folder."""


@dataclass(slots=True)
class Bench:
    """What a run decodes on.

    Args:
        setup: of the server that we start; None = `target` was given.
        folder: for configuration files and logs.
        engine: the name that tasks ask for; None = the server's first.
        engine_url: an engine to ask directly.
        launch: starts an engine of this number, anew at each start of the bench; None = as the setup says.
    """

    setup: Setup | None
    tokens: int
    folder: Path
    target: Target | None = None
    engine: str | None = None
    engine_url: str | None = None
    launch: Launch | None = None
    server: Orchestrated | None = None
    identity: Identity | None = None
    replicas: tuple[str, ...] = ()
    life: int = 0
    engines: list[Started] = field(default_factory=list)
    _servers: Servers | None = None
    _llama: RealEngine | None = None
    _direct: Direct | None = None

    # ── starting and stopping ──

    def start(self) -> Orchestrated:
        """Start the server, or connect to the given one."""
        self.life += 1
        target = self.target
        if self.setup is not None:
            folder = self.folder / f"life-{self.life}"
            self._start_engines(self.setup, folder)
            self._servers = Servers(REFERENCE_SERVER, folder=folder)
            urls = self.setup.engine_urls or tuple(engine.url for engine in self.engines)
            target = self._servers.start(server_settings(replace(self.setup, engine_urls=urls)))
        assert target is not None, "a bench has a setup or a target"  # noqa: S101
        self.server = Orchestrated(target, engine=self.engine, tokens=self.tokens, life=self.life)
        return self.server

    def restart(self) -> Orchestrated:
        """Stop server and engines, and start them anew. Only with a setup."""
        self._stop_server()
        return self.start()

    def stop(self) -> None:
        """Stop everything."""
        self._stop_server()
        if self._llama is not None:
            self._llama.stop()
            self._llama = None

    def _start_engines(self, setup: Setup, folder: Path) -> None:
        """Those that the server cannot start by itself; one that it would first have to build is not what is asked for.

        Raises:
            CannotRunError: none is installed; the text says how to get it.
        """
        if setup.engine_urls:
            return
        if self.launch is not None or setup.engine in STARTED_HERE:
            launch = self.launch or (lambda _, own: real.start(setup.engine, folder=own))
            self.engines += [launch(number, folder / f"engine-{number}") for number in range(setup.replicas)]
        elif setup.engine == "llamacpp":
            installed()

    def _stop_server(self) -> None:
        if self.server is not None:
            self.server.close()
            self.server = None
        if self._servers is not None:
            self._servers.stop()
            self._servers = None
        while self.engines:
            self.engines.pop().stop()
            self._direct = None

    @property
    def can_restart(self) -> bool:
        """The engines are ours."""
        return self.setup is not None and not self.setup.engine_urls

    @property
    def slots(self) -> int:
        """So many tasks the server decodes at a time."""
        return self.server.service.slots if self.server is not None else 1

    @property
    def copies(self) -> int:
        """So many tasks at once reach every replica.

        The server that we start gives a task to the replica with the fewest, so that each decodes alone there.
        """
        return self.setup.replicas if self.setup is not None else self.slots

    def cool(self, case: Case) -> None:
        """Decode another prompt on every replica: whatever keeps the last one has forgotten this case's."""
        assert self.server is not None, "decoded on a bench that runs"  # noqa: S101
        self.server.decode(Case(case.seed, (case.prompt + 1) % len(PROMPTS)), copies=self.copies)

    # ── the direct way ──

    def direct(self) -> Direct | None:
        """The engine asked directly; None where there is none to ask."""
        if self._direct is None and self.identity is not None:
            url, name = self.engine_url, "the engine itself"
            if url is None and self.setup is not None and self.setup.engine_urls:
                url = self.setup.engine_urls[0]
            if url is None and self.engines:
                url = self.engines[0].url
            if url is None and self.setup is not None and self.setup.engine == "llamacpp" and self.setup.gpu is None:
                self._llama = real.start("llamacpp", folder=self.folder / f"engine-{secrets.token_hex(4)}")
                url, name = self._llama.url, "an engine of its own"
            if url is not None:
                speaking = direct(self.identity.engine, url)
                self._direct = Direct(speaking, name=name, tokens=self.tokens, identity=self.identity)
        return self._direct

    def engine_asked(self) -> DirectEngine | None:
        """For log-probabilities."""
        found = self.direct()
        return found.engine if found is not None else None


class BenchLab:
    """Decodes again on a bench; the order of calls decides what is warm."""

    def __init__(self, bench: Bench, *, tell: Callable[[str], None] = lambda _: None) -> None:
        self._bench = bench
        self._tell = tell

    def engine(self) -> DirectEngine | None:
        """The bench's."""
        return self._bench.engine_asked()

    def alternatives(self, base: Conditions, factor: str) -> Conditions | str:
        """What this bench can change."""
        can_restart = self._bench.can_restart and base.path == "orchestrator"
        changed: dict[str, Conditions | str] = {
            "warm cache": replace(base, cache="warm"),
            "siblings": self._beside(base),
            "replica": self._other_replica(base),
            "path": self._other_path(base),
            "engine restart": replace(base, life=self._bench.life + 1) if can_restart else "these engines are not ours",
        }
        return changed[factor]

    def _beside(self, base: Conditions) -> Conditions | str:
        if base.path == "direct":
            return "siblings are sent through the orchestrator only"
        count = min(SIBLINGS_TRIED, self._bench.slots - 1)
        return replace(base, siblings=count) if count else "the server decodes one task at a time"

    def _other_replica(self, base: Conditions) -> Conditions | str:
        if base.path == "direct":
            return "there is one engine to ask directly"
        others = [name for name in self._bench.replicas if name != base.replica]
        return replace(base, replica=others[0]) if others else "there is no other replica"

    def _other_path(self, base: Conditions) -> Conditions | str:
        if base.path == "direct":
            return replace(base, path="orchestrator", replica=self._bench.replicas[0])
        is_possible = self._bench.direct() is not None
        return replace(base, path="direct", replica="") if is_possible else "no engine can be asked; use --engine-url"

    def decode(self, case: Case, under: Conditions) -> Decoding:
        """Arrange the conditions and decode."""
        self._tell(f"seed {case.seed} again: {under}")
        if under.path == "direct":
            engine = self._bench.direct()
            return engine.decode(case, cache=under.cache) if engine else Undecoded(case, under, "nobody to ask")
        if self._bench.can_restart and under.life > self._bench.life:
            self._bench.restart()
        self._bench.cool(case)
        if under.cache == "warm":
            self._on_replica(case, replace(under, cache="cold", siblings=0))
        return self._on_replica(case, under)

    def _on_replica(self, case: Case, under: Conditions) -> Decoding:
        """More copies at a time until the wanted replica has one of them; beside siblings there is one."""
        server = self._bench.server
        assert server is not None, "decoded on a bench that runs"  # noqa: S101
        last: Decoding = Undecoded(case, under, "not tried")
        for number in range(TRIES):
            copies = 1 if under.siblings else min(2**number, self._bench.copies)
            for decoded in server.decode(case, copies=copies, cache=under.cache, siblings=under.siblings):
                last = decoded
                if isinstance(decoded, Recording) and under.replica in {"", decoded.under.replica}:
                    return decoded
        why = last.why if isinstance(last, Undecoded) else f"no task came to replica {under.replica} in {TRIES} tries"
        return Undecoded(case, under, why)

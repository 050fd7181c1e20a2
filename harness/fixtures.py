"""The fixtures of scenarios: the server under test, and a client that writes everything down.

The server is shared by a session. It is started at the first use, so that runs without scenarios start nothing.
"""

import os
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING, NoReturn

import pytest

from harness.stash import HISTORY

if TYPE_CHECKING:
    from harness.client import Client
    from harness.engines.real_engine import RealEngine
    from harness.history import History
    from harness.target import Servers, Target

COULD_NOT_RUN = 3


@pytest.fixture(scope="session")
def real_engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> "Iterator[RealEngine | None]":
    """The engine of a run that requires a real one and starts its own server; None otherwise."""
    from harness.engines.real import start
    from harness.stand_in import required_engine
    from harness.target import CannotRunError

    options, wanted = request.config.option, required_engine()
    if wanted is None or options.server_url or options.launch:
        yield None
        return
    try:
        engine = start(wanted, folder=tmp_path_factory.mktemp("engine"))
    except CannotRunError as error:
        _could_not_run(request.config, str(error))
    yield engine
    engine.stop()


@pytest.fixture(scope="session")
def engine_url(request: pytest.FixtureRequest, real_engine: "RealEngine | None") -> str | None:
    """The llama-server behind the server under test, where it can be reached; no other engine has its native API."""
    if real_engine is not None:
        return real_engine.url if real_engine.name == "llamacpp" else None
    given: str | None = request.config.getoption("--engine-url")
    return given


@pytest.fixture(scope="session")
def servers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, real_engine: "RealEngine | None"
) -> "Iterator[Servers]":
    """Starts servers with settings of their own; all are stopped at the end, also when the run is terminated."""
    from harness.target import REFERENCE_SERVER, Servers, split

    options = request.config.option
    command = split(options.launch) if options.launch else REFERENCE_SERVER
    saboteur = request.config.pluginmanager.getplugin("orchqueue-saboteur")
    started = Servers(
        () if options.server_url else command,
        folder=tmp_path_factory.mktemp("servers"),
        replica=real_engine.replica if real_engine is not None else None,
        engine_pid=real_engine.process.pid if real_engine is not None else None,
        wrap=saboteur.front if saboteur is not None else str,
        around=saboteur.around if saboteur is not None else list,
    )
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield started
    finally:
        started.stop()
        signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest, servers: "Servers") -> "Target":
    """The server under test: ready, and no stand-in where a real engine is required."""
    from harness.stand_in import why_not_required
    from harness.target import CannotRunError, Target

    url, token_env = request.config.getoption("--server-url"), request.config.getoption("--token-env")
    try:
        found = Target(url.rstrip("/"), _token(request.config, token_env)) if url else servers.default()
        capabilities = found.capabilities()
    except CannotRunError as error:
        _could_not_run(request.config, str(error))
    if (why := why_not_required(capabilities)) is not None:
        _could_not_run(request.config, f"{found.url}: {why}")
    if (events := request.config.pluginmanager.getplugin("orchqueue-events")) is not None:
        events.target_ready(found.url, capabilities)
    return found


@pytest.fixture
def history(request: pytest.FixtureRequest) -> "History":
    """Everything that this test sends and gets."""
    from harness.history import History

    made: History = request.node.stash.setdefault(HISTORY, History())
    return made


@pytest.fixture
def client(target: "Target", history: "History", servers: "Servers") -> "Iterator[Client]":
    """Speaks to the server under test."""
    from harness.client import Client
    from harness.lateness import Stopwatch

    pids = servers.pids(target)
    speaking = Client(target.url, token=target.token, history=history, stopwatch=lambda: Stopwatch(pids))
    yield speaking
    speaking.close()


def _token(config: pytest.Config, name: str | None) -> str | None:
    if name is None:
        return None
    if name not in os.environ:
        _could_not_run(config, f"--token-env names {name}, which is not set")
    return os.environ[name]


def _could_not_run(config: pytest.Config, why: str) -> NoReturn:
    if (events := config.pluginmanager.getplugin("orchqueue-events")) is not None:
        events.stop(f"could not run: {why}")
    pytest.exit(f"could not run: {why}", returncode=COULD_NOT_RUN)


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt

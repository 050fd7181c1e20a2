"""The haiku on the real llama-server: the honest server passes, and every cheater in front of it is caught."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.engines.direct import LlamaCppDirect
from harness.engines.real_llamacpp import RealLlama, installed
from harness.haiku.observe import observe
from harness.haiku.proof import CHECKS, prove
from harness.haiku.tests import cheats
from harness.outcome import Outcome
from harness.target import REFERENCE_SERVER, Servers, Target, pool_settings
from harness.tests.saboteurs import Fault, sabotaged

pytestmark = [pytest.mark.real_engine, pytest.mark.timeout(300)]


@dataclass(frozen=True)
class Honest:
    """A server, and the engine behind it."""

    target: Target
    engine: RealLlama


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Honest]:
    folder: Path = tmp_path_factory.mktemp("haiku")
    engine = RealLlama(installed(), folder=folder / "engine")
    servers = Servers(REFERENCE_SERVER, folder=folder, replica=engine.replica)
    try:
        yield Honest(servers.start(pool_settings({}, engine.replica)), engine)
    finally:
        servers.stop()
        engine.stop()


def outcomes(honest: Honest, fault: Fault) -> dict[str, Outcome]:
    with sabotaged(honest.target.url, fault) as url:
        target = Target(url, honest.target.token)
        facts = observe(target, [LlamaCppDirect(honest.engine.url)], tell=lambda _: None)
    return {verdict.check: verdict.outcome for verdict in prove(facts)}


@pytest.mark.req("ORCH-3051", "OC-TEST-7064", "OC-TEST-7066")
def test_the_honest_server_passes_through_the_same_proxy(honest: Honest) -> None:
    assert dict.fromkeys(CHECKS, Outcome.PASS) == outcomes(honest, Fault())


@pytest.mark.req("OC-TEST-7006", "OC-TEST-7065")
@pytest.mark.parametrize(
    ("make", "caught"),
    [
        pytest.param(lambda _: cheats.CannedText(), {"depends-on-the-nonce", "engines-own-words"}, id="canned-text"),
        pytest.param(
            lambda _: cheats.EarlierAnswer(), {"depends-on-the-nonce", "engines-own-words"}, id="earlier-answer"
        ),
        pytest.param(
            lambda honest: cheats.LeavesTheNonceOut(honest.engine.url),
            {"depends-on-the-nonce", "engines-own-words", "engine-counted"},
            id="nonce-left-out",
        ),
        pytest.param(lambda _: cheats.ImpossibleSpeed(), {"real-time"}, id="impossible-speed"),
        pytest.param(lambda _: cheats.CountersStand(), {"server-counted"}, id="counters-stand"),
    ],
)
def test_a_cheater_is_caught_and_nothing_else_is_blamed(
    honest: Honest, make: Callable[[Honest], Fault], caught: set[str]
) -> None:
    found = outcomes(honest, make(honest))

    assert caught == {check for check, outcome in found.items() if outcome is not Outcome.PASS}

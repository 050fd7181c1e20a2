"""The haiku on the real llama-server: the honest server passes, and every cheater in front of it is caught."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.engines.direct import LlamaCppDirect
from harness.engines.real_llamacpp import RealLlama, installed
from harness.haiku.observe import observe
from harness.haiku.proof import Verdict, prove
from harness.haiku.tests import cheats
from harness.outcome import Outcome
from harness.saboteur.defect import Defect, Wire
from harness.saboteur.proxy import PLAIN, Saboteur
from harness.target import REFERENCE_SERVER, Servers, Target, pool_settings

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


@pytest.fixture(scope="module")
def saboteur() -> Iterator[Saboteur]:
    made = Saboteur()
    yield made
    made.close()


def judged(honest: Honest, saboteur: Saboteur, defect: Defect) -> tuple[list[Verdict], Wire]:
    """What the checks say of the server with this defect before it, and what became of the defect."""
    target = Target(saboteur.front(honest.target.url), honest.target.token)
    wire = saboteur.plant(defect)
    try:
        facts = observe(target, [LlamaCppDirect(honest.engine.url)], tell=lambda _: None)
    finally:
        saboteur.lift()
    return list(prove(facts)), wire


@pytest.mark.req("ORCH-3051", "OC-TEST-7064", "OC-TEST-7066")
def test_the_honest_server_passes_through_the_same_proxy(honest: Honest, saboteur: Saboteur) -> None:
    verdicts, wire = judged(honest, saboteur, PLAIN)

    assert [] == [verdict for verdict in verdicts if verdict.outcome is not Outcome.PASS]
    assert (0, "") == (wire.fired, wire.broken)


@pytest.mark.req("OC-TEST-7006", "OC-TEST-7065")
@pytest.mark.parametrize(
    ("cheat", "caught"),
    [
        pytest.param(cheats.CANNED_TEXT, {"depends-on-the-nonce", "engines-own-words"}, id="canned-text"),
        pytest.param(cheats.EARLIER_ANSWER, {"depends-on-the-nonce", "engines-own-words"}, id="earlier-answer"),
        pytest.param(cheats.NONCE_LEFT_OUT, {"depends-on-the-nonce", "engines-own-words"}, id="nonce-left-out"),
        pytest.param(
            cheats.MORE_THAN_DECODED,
            {"engines-own-words", "engine-counted", "server-counted"},
            id="more-than-decoded",
        ),
        pytest.param(cheats.IMPOSSIBLE_SPEED, {"real-time"}, id="impossible-speed"),
        pytest.param(cheats.COUNTERS_STAND, {"server-counted"}, id="counters-stand"),
    ],
)
def test_a_cheat_is_caught_and_nothing_else_is_blamed(
    honest: Honest, saboteur: Saboteur, cheat: Defect, caught: set[str]
) -> None:
    verdicts, wire = judged(honest, saboteur, cheat)

    assert (True, "") == (wire.fired > 0, wire.broken)
    wrong = {verdict.check: verdict for verdict in verdicts if verdict.outcome is not Outcome.PASS}
    assert dict.fromkeys(caught, Outcome.FAIL) == {check: verdict.outcome for check, verdict in wrong.items()}, wrong

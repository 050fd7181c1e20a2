"""The real engine that a run requires passes its pact: what no stand-in can prove.

    REQUIRE_REAL_ENGINE=vllm python -m pytest harness/pact/tests/test_real_engine.py

Source: OC-TEST-7030, OC-TEST-7010.
"""

import pytest

from harness.engines.real_engine import RealEngine
from harness.outcome import Outcome
from harness.pact.pact_file import load
from harness.pact.run import Engine, run
from harness.pact.states import HOLDS, EngineStates
from harness.pact.verify import Verdict
from harness.stand_in import REQUIRE_ENGINE_ENV

ANSWER_S = 120.0  # an engine on a busy CPU, its first request


@pytest.mark.real_engine
@pytest.mark.timeout(600)
@pytest.mark.req("ORCH-3054", "ORCH-3055", "ORCH-3057", "OC-TEST-7030", "OC-TEST-7032")
def test_the_real_engine_passes_its_pact(real_engine: RealEngine | None) -> None:
    """All of it but what has a state that nobody can bring about on it."""
    assert real_engine is not None, f"name the engine: {REQUIRE_ENGINE_ENV}=llamacpp, vllm or triton"
    name, url = real_engine.name, real_engine.url
    pact = load(name)
    metrics_url = getattr(real_engine, "metrics_url", url)
    engine = Engine(url, EngineStates(name, url), metrics_url=metrics_url, api_key=None, limit_s=ANSWER_S)

    verdicts = run(pact, pact.interactions, engine, say=lambda _: None)

    expected = {entry.description: outcome_of(entry.states) for entry in pact.interactions}
    assert expected == {verdict.interaction.description: verdict.outcome for verdict in verdicts}, told(verdicts)
    assert Outcome.PASS == expected["a completion"]


def outcome_of(states: tuple[str, ...]) -> Outcome:
    return Outcome.PASS if set(states) <= HOLDS else Outcome.NOT_TESTABLE


def told(verdicts: list[Verdict]) -> str:
    return "\n".join(
        f"{verdict.interaction.description}: {verdict.reason or verdict.differences}" for verdict in verdicts
    )

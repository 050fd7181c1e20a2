"""The stand-in engines pass their pacts, and break them in whatever one thing they are made to get wrong."""

from collections.abc import Iterator

import pytest

from harness.engines.llamacpp import LlamaCppFormat
from harness.engines.stand_in import STATE_PATH, stand_in
from harness.engines.tgi import TgiFormat
from harness.engines.triton import TritonFormat
from harness.engines.vllm import VllmFormat
from harness.engines.wire_format import MODEL, WireFormat
from harness.outcome import Outcome
from harness.pact.pact_file import ENGINES, Interaction, load
from harness.pact.run import Engine, run
from harness.pact.states import EngineStates
from harness.pact.tests.breaking_proxy import Proxy, breaking_proxy
from harness.pact.tests.mutants import Mutant, mutants
from harness.pact.verify import Verdict

FORMATS: dict[str, WireFormat] = {
    "llamacpp": LlamaCppFormat(),
    "vllm": VllmFormat(),
    "tgi": TgiFormat(),
    "triton": TritonFormat(),
}
MODELS = {"vllm": MODEL}  # named, because a broken list of models cannot be asked


class Subject:
    """A stand-in behind a proxy that breaks what it is told."""

    def __init__(self, name: str, proxy: Proxy, url: str) -> None:
        states = EngineStates(name, url, model=MODELS.get(name), state_url=url + STATE_PATH)
        self.pact, self.proxy = load(name), proxy
        self._engine = Engine(proxy.url, states, metrics_url=proxy.url, api_key=None, limit_s=20)

    def verdict(self, interaction: Interaction, mutant: Mutant | None = None) -> Verdict:
        self.proxy.mutant, self.proxy.broke = mutant, 0
        (verdict,) = run(self.pact, [interaction], self._engine, say=lambda verdict: None)
        assert (mutant is not None) == bool(self.proxy.broke)
        return verdict


@pytest.fixture(scope="module")
def subjects() -> Iterator[dict[str, Subject]]:
    """One for each engine."""
    from contextlib import ExitStack

    with ExitStack() as stack:
        engines = {name: stack.enter_context(stand_in(wire)) for name, wire in FORMATS.items()}
        yield {
            name: Subject(name, stack.enter_context(breaking_proxy(engine.url)), engine.url)
            for name, engine in engines.items()
        }


INTERACTIONS = [
    pytest.param(name, interaction, id=f"{name}-{interaction.description}")
    for name in ENGINES
    for interaction in load(name).interactions
]
MUTANTS = [
    pytest.param(name, interaction, mutant, id=f"{name}-{interaction.description}-{mutant.name}")
    for name in ENGINES
    for interaction in load(name).interactions
    for mutant in mutants(interaction)
]


@pytest.mark.req("OC-TEST-7030")
@pytest.mark.parametrize(("name", "interaction"), INTERACTIONS)
def test_stand_in_passes_its_pact(subjects: dict[str, Subject], name: str, interaction: Interaction) -> None:
    assert Outcome.PASS == subjects[name].verdict(interaction).outcome


@pytest.mark.req("OC-TEST-7031", "OC-TEST-7006")
@pytest.mark.parametrize(("name", "interaction", "mutant"), MUTANTS)
def test_stand_in_that_breaks_one_thing_fails_and_it_is_named(
    subjects: dict[str, Subject], name: str, interaction: Interaction, mutant: Mutant
) -> None:
    verdict = subjects[name].verdict(interaction, mutant)

    assert Outcome.FAIL == verdict.outcome
    told = " ".join(f"{difference.where}: {difference.text}" for difference in verdict.differences).lower()
    assert named(mutant) in told


def named(mutant: Mutant) -> str:
    """What the report has to say."""
    match mutant.part:
        case "status" | "header":
            return " ".join([mutant.part, *map(str, mutant.path)])
        case "marker":
            return "last frame"
        case "metric":
            return str(mutant.path[0]).partition("{")[0].lower()
        case _:
            return (
                str([part for part in mutant.path if isinstance(part, str)][-1]).lower()
                if any(isinstance(part, str) for part in mutant.path)
                else "$"
            )

"""What the adapters ask and make of the answers, as their pacts say; whether engines answer so is for them to show."""

import json
from pathlib import Path

import pytest

from contracts.tests.pact_writing import empty, normalised
from reference_server.engines.base import EngineError
from reference_server.engines.tests.pacts import CONSUMERS
from reference_server.engines.tests.pacts.consumer import CONSUMER, Case, Consumer

FOLDER = Path(__file__).parents[3] / "contracts/pacts"

CASES = [
    pytest.param(consumer, case, id=f"{consumer.provider}-{case.name}")
    for consumer in CONSUMERS
    for case in consumer.cases
]


@pytest.mark.req("ORCH-3054", "ORCH-3055", "ORCH-3056", "ORCH-3057")
@pytest.mark.parametrize(("consumer", "case"), CASES)
async def test_the_adapter_asks_and_understands_as_its_pact_says(consumer: Consumer, case: Case) -> None:
    """Leaving the block fails where the adapter asked for something else, or did not ask at all."""
    pact = empty(CONSUMER, consumer.provider)
    for describe in case.interactions:
        describe(pact)
    with pact.serve() as engine:
        adapter = (case.adapter or consumer.adapter)(str(engine.url).rstrip("/"))
        try:
            given = await case.use(adapter)
        except EngineError as error:
            given = type(error)
        finally:
            await adapter.close()

    assert case.gives == given


@pytest.mark.req("ORCH-3054", "ORCH-3055", "ORCH-3056", "ORCH-3057")
@pytest.mark.parametrize("consumer", [pytest.param(consumer, id=consumer.provider) for consumer in CONSUMERS])
def test_the_pact_file_is_what_the_cases_write_to_the_byte(consumer: Consumer) -> None:
    committed = FOLDER / f"orchestrator-{consumer.provider}.json"

    assert consumer.text() == consumer.text() == committed.read_text(encoding="utf-8")


def test_another_version_of_the_library_changes_no_byte_of_a_pact() -> None:
    pact = json.loads(CONSUMERS[0].text())
    pact["metadata"]["pactRust"] = {"ffi": "9.9.9"}
    pact["interactions"].reverse()

    assert CONSUMERS[0].text() == normalised(pact)

"""What the client asks and makes of the answers, as its pact says; the server's side is verified in `harness/pact`."""

from pathlib import Path

import pytest

from contracts.client import ApiError, OrchQueueClient
from contracts.client.tests.pact import CASES, CLIENT, ORCHESTRATOR, Case, pact_text
from contracts.tests.pact_writing import empty

FILE = Path(__file__).parents[2] / "pacts/client-orchestrator.json"


@pytest.mark.req("ORCH-3101", "OC-TEST-7030")
@pytest.mark.parametrize("case", [pytest.param(case, id=getattr(case.describe, "__name__", "")) for case in CASES])
def test_the_client_asks_and_understands_as_its_pact_says(case: Case) -> None:
    """Leaving the block fails where the client asked for something else, or did not ask at all."""
    pact = empty(CLIENT, ORCHESTRATOR)
    case.describe(pact)
    with pact.serve() as server, OrchQueueClient(str(server.url), token=case.token) as client:
        try:
            given = case.call(client)
        except ApiError as error:
            given = type(error)

    assert case.gives == given


@pytest.mark.req("OC-TEST-7030")
def test_the_pact_file_is_what_the_cases_write_to_the_byte() -> None:
    assert pact_text() == pact_text() == FILE.read_text(encoding="utf-8")

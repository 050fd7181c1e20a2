"""A run against a server that it was given the address of: over HTTP alone, and nothing that needs more than that."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from harness.conform import Selection, run
from harness.outcome import Outcome
from harness.report.result import Result
from harness.saboteur.proxy import Saboteur
from harness.target import REFERENCE_SERVER, Servers, Target

TOKEN_ENV = "CONFORM_URL_TOKEN"


@dataclass
class Gathered:
    """A listener that keeps the result."""

    result: Result = field(default_factory=Result)
    log: str = ""

    def take(self, event: dict[str, Any]) -> None:
        self.result.take(event)

    def close(self, exit_code: int, log: str) -> None:
        self.log = log


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A reference server that the runs do not start."""
    servers = Servers(REFERENCE_SERVER, folder=tmp_path_factory.mktemp("server"))
    yield servers.get({})
    servers.stop()


def conform(selection: Selection) -> tuple[int, Gathered]:
    gathered = Gathered()
    return run(selection, [gathered]), gathered


@pytest.mark.slow
def test_scenarios_with_settings_of_their_own_do_not_apply_to_a_url(
    server: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN_ENV, server.token or "")
    code, gathered = conform(
        Selection(url=server.url, token_env=TOKEN_ENV, keyword="test_a_session_expires", disturb=True)
    )

    (entry,) = gathered.result.finished
    assert (0, Outcome.NOT_APPLICABLE) == (code, entry.outcome)
    assert "given by its URL" in entry.message


@pytest.mark.slow
@pytest.mark.req("OC-TEST-7005")
def test_the_verdicts_on_an_address_are_those_on_a_server_that_the_run_started(
    server: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address is a proxy's, in this process: the run has no other way to the server."""
    monkeypatch.setenv(TOKEN_ENV, server.token or "")
    saboteur = Saboteur()
    try:
        address = saboteur.front(server.url)
        by_url = conform(Selection(url=address, token_env=TOKEN_ENV, profiles=("core",), jobs=1))
        started = conform(Selection(profiles=("core",), jobs=1, disturb=False))
    finally:
        saboteur.close()

    assert (0, 0) == (by_url[0], started[0]), by_url[1].log + started[1].log
    assert started[1].result.checks == by_url[1].result.checks
    assert Outcome.PASS in set(by_url[1].result.checks.values())

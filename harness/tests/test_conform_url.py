"""A run against a server that it was given the address of: over HTTP alone, and nothing that needs more than that."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness.conform import Selection, run
from harness.outcome import Outcome
from harness.report.result import Result
from harness.saboteur.proxy import Saboteur
from harness.target import REFERENCE_SERVER, Servers, Target, pool_settings

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


BUILDS_ON_RUNNING = (
    "abilities/as-many-tasks-run-at-a-time-as-capabilities-declare",
    "cancel/no-token-comes-after-the-cancel-was-answered",
    "deadlines/a-task-whose-deadline-passes-in-the-queue-never-starts",
    "full-queue/a-full-queue-says-when-to-come-back",
    "streaming/tokens-arrive-while-the-task-still-runs",
)


@pytest.mark.slow
@pytest.mark.req("OC-TEST-7097")
def test_a_server_on_an_engine_that_is_too_fast_is_not_said_to_be_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers = Servers(REFERENCE_SERVER, folder=tmp_path)
    try:
        target = servers.get(pool_settings({}, {"kind": "mock", "token_ms": 0, "prompt_ms": 0}))
        monkeypatch.setenv(TOKEN_ENV, target.token or "")
        selection = Selection(url=target.url, token_env=TOKEN_ENV, checks=BUILDS_ON_RUNNING, disturb=True, jobs=1)
        _, gathered = conform(selection)
    finally:
        servers.stop()

    assert BUILDS_ON_RUNNING == tuple(gathered.result.checks)
    for entry in gathered.result.finished:
        assert "ended before it was seen to run" in entry.message, entry
        by_our_fault = "the harness was late by" in entry.message
        assert entry.outcome is (Outcome.UNKNOWN if by_our_fault else Outcome.NOT_TESTABLE), entry

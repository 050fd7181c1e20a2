"""The reference server against the pact of the generated client, each provider state brought about over HTTP."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from harness.client import Client, fresh_id
from harness.history import History
from harness.outcome import Outcome
from harness.pact.pact_file import Interaction, load_file
from harness.pact.tests.breaking_proxy import breaking_proxy
from harness.pact.tests.mutants import Mutant, mutants
from harness.pact.verify import Verdict, verify
from harness.target import REFERENCE_SERVER, Servers, Target, pool_settings

PACT = load_file("client-orchestrator.json")
WAIT_MS = 20_000.0
SLOW = {"kind": "mock", "ctx_max": 20_000, "token_ms": 20}  # a task may run for 400 s: no state ends by itself
ONE_WAITS = {"capacity_interactive": 1, "capacity_batch": 1, "capacity_total": 2, "full_policy": "reject"}
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "the queue is full": pool_settings({"queue": ONE_WAITS}, {**SLOW, "slots": 1})
}
USUAL_SETTINGS = pool_settings({}, SLOW)

Values = dict[str, str]


class Provider:
    """A reference server and what its states need."""

    def __init__(self, target: Target, client: Client) -> None:
        self.target, self.client = target, client
        self.row = target.capabilities()["engines"][0]
        self._kept: dict[str, Values] = {}

    def set_up(self, state: str) -> Values:
        """Bring a state about; one that nothing changes is brought about once."""
        if state not in self._kept:
            self._kept[state] = STATES[state](self)
        return self._kept[state] if state in LASTING else self._kept.pop(state)

    def task(self, **changes: Any) -> dict[str, Any]:
        """A task that is admitted."""
        ids = {"task_id": fresh_id(), "session_id": fresh_id()}
        model = {"workload": "completion", "model_ref": "default", "engine": self.row["engine"], "ctx": 128}
        limits = {"priority": "interactive", "max_tokens": 3, "deadline_ms": 600_000, "prompt": "one two"}
        return {**ids, **model, **limits, **changes}

    def admit(self, **changes: Any) -> Values:
        """Its ids, as values of a request."""
        task = self.task(**changes)
        answer = self.client.submit(task)
        assert 202 == answer.status, str(answer)
        return {name: task[name] for name in ("task_id", "session_id")}

    def ended(self) -> Values:
        values = self.admit()
        reader = self.client.open_stream(values["task_id"])
        self.client.read_to_end([reader], deadline_ms=WAIT_MS)
        return values

    def running(self) -> Values:
        """One that holds its slot until it is canceled; it says that it is short: others are predicted to start."""
        ctx = int(self.row["ctx_max"])
        values = self.admit(ctx=ctx, max_tokens=ctx - 64, expected_tokens=1)
        self.client.wait_until(
            lambda: self.client.status(values["task_id"]).json["state"] == "running",
            deadline_ms=WAIT_MS,
            what="the task runs",
        )
        return values

    def canceled(self) -> Values:
        values = self.running()
        assert 204 == self.client.cancel(values["task_id"]).status
        return values

    def full(self) -> Values:
        """One runs, and as many wait as may."""
        self.running()
        self.admit()
        return {}

    def drained(self) -> Values:
        answer = self.client.request("POST", "/v1/pools/default/drain", json={"deadline_ms": 1_000})
        assert 202 == answer.status, str(answer)
        return {}


STATES: Mapping[str, Callable[[Provider], Values]] = {
    "the server is ready": lambda _: {},
    "a task has ended": Provider.ended,
    "a task was canceled": Provider.canceled,
    "a task is running": Provider.running,
    "a session lives": Provider.ended,
    "the id belongs to a task with another body": Provider.ended,
    "the queue is full": Provider.full,
    "the pool is drained": Provider.drained,
}
LASTING = (
    "a task has ended",
    "a task was canceled",
    "the id belongs to a task with another body",
    "the queue is full",
    "the pool is drained",
)
OWN_SERVER = ("the queue is full", "the pool is drained")  # which are of no use for the others afterwards


@pytest.fixture(scope="module")
def providers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Provider]]:
    """A server for the state: those that spoil theirs have one of their own."""
    started, servers = {}, Servers(REFERENCE_SERVER, folder=tmp_path_factory.mktemp("servers"))
    clients: list[Client] = []

    def provider(state: str) -> Provider:
        key = state if state in OWN_SERVER else ""
        if key not in started:
            target = servers.start(SETTINGS.get(state, USUAL_SETTINGS))
            clients.append(Client(target.url, token=target.token, history=History()))
            started[key] = Provider(target, clients[-1])
        return started[key]

    yield provider
    for client in clients:
        client.close()
    servers.stop()


def verdict(provider: Provider, interaction: Interaction, url: str) -> Verdict:
    (state,) = interaction.states
    values = {
        "task_id": fresh_id(),
        "session_id": fresh_id(),
        "pool_id": "default",
        "model_ref": "default",
        "engine": provider.row["engine"],
        "token": provider.target.token or "",
        **provider.set_up(state),
    }
    try:
        return verify(PACT, interaction, url=url, values=values, api_key=None, limit_s=20)
    finally:
        if state == "a task is running":
            provider.client.cancel(values["task_id"])


INTERACTIONS = [pytest.param(entry, id=entry.description) for entry in PACT.interactions]
MUTANTS = [
    pytest.param(entry, mutant, id=f"{entry.description}-{mutant.name}")
    for entry in PACT.interactions
    for mutant in mutants(entry)
]


@pytest.mark.req("OC-TEST-7033", "ORCH-3101")
@pytest.mark.parametrize("interaction", INTERACTIONS)
def test_the_reference_server_answers_as_the_client_needs_it(
    providers: Callable[[str], Provider], interaction: Interaction
) -> None:
    provider = providers(interaction.states[0])

    assert verdict(provider, interaction, provider.target.url) == Verdict(interaction, Outcome.PASS)


@pytest.mark.req("OC-TEST-7033", "OC-TEST-7006")
@pytest.mark.parametrize(("interaction", "mutant"), MUTANTS)
def test_a_server_that_breaks_one_thing_fails(
    providers: Callable[[str], Provider], interaction: Interaction, mutant: Mutant
) -> None:
    provider = providers(interaction.states[0])
    with breaking_proxy(provider.target.url) as proxy:
        proxy.mutant = mutant
        found = verdict(provider, interaction, proxy.url)

    assert 1 == proxy.broke
    assert Outcome.FAIL == found.outcome


def test_every_state_of_the_pact_is_brought_about_by_a_server() -> None:
    assert {state for entry in PACT.interactions for state in entry.states} == set(STATES)

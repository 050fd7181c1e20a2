"""Runs the interactions of a pact against one engine, one after the other.

Source: OC-TEST-7031, OC-TEST-7032.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from harness.outcome import Outcome
from harness.pact.pact_file import Interaction, PactFile
from harness.pact.states import CannotBringAboutError, EngineStates
from harness.pact.verify import Verdict, verify

REACH_S = 5.0
METRICS_PATH = "/metrics"


class UnreachableError(Exception):
    """Nobody answers at the address; the text says what to do."""


@dataclass(frozen=True)
class Engine:
    """What is verified.

    Attributes:
        metrics_url: where metrics are another service's, as Triton's are; None = not known.
        limit_s: for each answer, a stream's end included.
    """

    url: str
    states: EngineStates
    metrics_url: str | None
    api_key: str | None
    limit_s: float


def reach(url: str) -> None:
    """Look whether anybody answers.

    Raises:
        UnreachableError: nobody does.
    """
    try:
        httpx.get(url, timeout=REACH_S, trust_env=False)
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
        raise UnreachableError(
            f"{url} cannot be reached ({error}). Is the engine running, and the port right?"
        ) from None
    except httpx.HTTPError:
        return  # somebody is there; what it answers is for the verification to judge


def run(
    pact: PactFile, interactions: Sequence[Interaction], engine: Engine, *, say: Callable[[Verdict], None]
) -> list[Verdict]:
    """Verify them, and tell each verdict as it is known.

    Raises:
        VerifierError: the verifier did not do its work.
    """
    verdicts = []
    for interaction in interactions:
        verdicts.append(_verdict(pact, interaction, engine))
        say(verdicts[-1])
    return verdicts


def _verdict(pact: PactFile, interaction: Interaction, engine: Engine) -> Verdict:
    url = engine.metrics_url if interaction.path == METRICS_PATH else engine.url
    if url is None:
        return Verdict(interaction, Outcome.NOT_TESTABLE, "its metrics are another service: name it with --metrics-url")
    try:
        with _brought_about(interaction, engine.states) as values:
            return verify(pact, interaction, url=url, values=values, api_key=engine.api_key, limit_s=engine.limit_s)
    except CannotBringAboutError as error:
        return Verdict(interaction, Outcome.NOT_TESTABLE, str(error))


@contextmanager
def _brought_about(interaction: Interaction, states: EngineStates) -> Iterator[dict[str, str]]:
    """Its states, and the values that its request needs."""
    values: dict[str, str] = {name: states.value(name) for name in interaction.names}
    done = []
    try:
        for state in interaction.states:
            values |= states.set_up(state)
            done.append(state)
        yield values
    finally:
        for state in reversed(done):
            states.tear_down(state)

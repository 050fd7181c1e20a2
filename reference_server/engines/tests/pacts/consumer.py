"""A consumer's tests of one engine: what is asked and answered, and what the adapter makes of it.

The pact file holds exactly the interactions of the cases, and is written by `python -m tools gen`; that each case is
true of the adapter is for `test_pacts.py` to show.
"""

import json
import os
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("PACT_DO_NOT_TRACK", "true")  # before the library is loaded

from pact import Pact, match
from pact.interaction import HttpInteraction
from pact.match.matcher import AndMatcher

from reference_server.engines.base import Completion, Engine, EngineEvent
from reference_server.engines.tests.contract import events_of

CONSUMER = "orchestrator"
READY = "the model is ready"
LOADING = "the model is still loading"
TOO_LONG = "the prompt is longer than the context"
BUSY = "the engine is at its limit of requests"
FAILING = "the engine fails while it generates"
METRICS = "metrics are switched on"

JSON = "application/json"
EVENTS = "text/event-stream"
METRICS_TYPE = "text/plain"

Describe = Callable[[Pact], object]
Use = Callable[[Engine], Awaitable[object]]

REQUEST = Completion(task_id="t", prompt="one two three", max_tokens=3, seed=7)


@dataclass(frozen=True)
class Case:
    """One use of the adapter.

    Attributes:
        interactions: what the adapter has to say and hear for it, each of them once.
        gives: what it makes of the answer, or the exception's type.
        adapter: instead of the consumer's.
    """

    name: str
    interactions: Sequence[Describe]
    use: Use
    gives: object
    adapter: Callable[[str], Engine] | None = None


@dataclass(frozen=True)
class Consumer:
    """One adapter and its cases."""

    provider: str
    adapter: Callable[[str], Engine]
    cases: Sequence[Case]

    def pact(self) -> Pact:
        """An empty pact."""
        return Pact(CONSUMER, self.provider).with_specification("V4")

    def text(self) -> str:
        """The pact file: all interactions of all cases, in the order of descriptions and states."""
        pact = self.pact()
        interactions = dict.fromkeys(describe for case in self.cases for describe in case.interactions)
        for describe in interactions:
            describe(pact)
        with tempfile.TemporaryDirectory() as folder:
            pact.write_file(folder, overwrite=True)
            (file,) = Path(folder).iterdir()
            written = json.loads(file.read_bytes())
        if len(written["interactions"]) != len(interactions):  # the library replaces one of equal description
            raise ValueError(
                f"{self.provider}: {len(interactions)} interactions, {len(written['interactions'])} written"
            )
        return normalised(written)


def normalised(pact: dict[str, Any]) -> str:
    """The same pact whatever version of the library wrote it: no versions, one order."""
    pact["metadata"] = {"pactSpecification": pact["metadata"]["pactSpecification"]}
    pact["interactions"].sort(
        key=lambda one: (one["description"], [state["name"] for state in one.get("providerStates", ())])
    )
    return json.dumps(pact, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def asked(pact: Pact, description: str, given: str, *requirements: str) -> HttpInteraction:
    """The beginning of an interaction.

    Args:
        description: no two interactions of a pact have the same.
        given: the provider state, in plain words.
    """
    interaction = pact.upon_receiving(description).given(given)
    return interaction.add_external_reference("OrchQueue", "requirements", " ".join(requirements))


class SomeText(AndMatcher[str]):
    """A text that is not empty: a regular expression alone would take a number too.

    The library (4.2) leaves the example out of matchers that are combined, so it is put in here.
    """

    def __init__(self, example: str) -> None:
        super().__init__(match.regex(example, regex=r".+"), match.str(example))
        self._example = example

    def to_integration_json(self) -> dict[str, Any]:
        """With its example."""
        return {**super().to_integration_json(), "value": self._example}


async def stream(engine: Engine) -> list[EngineEvent]:
    """A whole completion."""
    return await events_of(engine, REQUEST)

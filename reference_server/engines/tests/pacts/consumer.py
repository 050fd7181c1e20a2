"""A consumer's tests of one engine: what is asked and answered, and what the adapter makes of it.

The pact file holds exactly the interactions of the cases, and is written by `python -m tools gen`; that each case is
true of the adapter is for `test_pacts.py` to show.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from contracts.tests.pact_writing import Describe, text
from reference_server.engines.base import Completion, Engine, EngineEvent
from reference_server.engines.tests.contract import events_of

CONSUMER = "orchestrator"
READY = "the model is ready"
LOADING = "the model is still loading"
TOO_LONG = "the prompt is longer than the context"
BUSY = "the engine is at its limit of requests"
FAILING = "the engine fails while it generates"
METRICS = "metrics are switched on"
EMBEDS = "the model embeds"

JSON = "application/json"
EVENTS = "text/event-stream"
METRICS_TYPE = "text/plain"

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

    def text(self) -> str:
        """The pact file: all interactions of all cases."""
        return text(CONSUMER, self.provider, (describe for case in self.cases for describe in case.interactions))


async def stream(engine: Engine) -> list[EngineEvent]:
    """A whole completion."""
    return await events_of(engine, REQUEST)

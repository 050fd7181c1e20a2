"""The one interface behind which every engine lives, and the errors that cross it.

Rules for an adapter:
1. It translates; it decides nothing. Retries, breakers, slots and terminal codes belong to the runtime and the domain.
2. `complete` tells once per read of the engine's socket, with everything that read held.
3. Closing the generator (or cancelling the task that iterates it) closes the engine's connection: that is the cancel.
4. A stream that ends without the engine's own final frame raises `EngineLostError`: an early end is never success.
5. No redirects, no hidden connection limit, explicit connect and read timeouts.

Errors, by who is at fault:

    EngineError
    ├── EngineBusyError      back-pressure: queue full, still loading; try again later
    ├── EngineRefusedError   the engine refused the request (4xx): the caller's or our bug, never a breaker's reason
    ├── EngineLostError      process died, connection lost or cut short
    ├── EngineMissingError   no such program, model or device; waiting does not cure it
    └── EngineFaultError     the engine answered, and the answer is an error or nonsense

Source: ORCH-3054 … 3058, OC-ADAPT-5001, 5010, 5011.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from reference_server.domain.replica import ReplicaFacts


class EngineError(Exception):
    """Base of everything an adapter raises. The text is safe to show: it holds no prompt, output or key."""


class EngineBusyError(EngineError):
    """The engine cannot take the request now."""


class EngineRefusedError(EngineError):
    """The engine refused the request as such.

    Attributes:
        status: the engine's HTTP status, 400 … 499.
    """

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class EngineLostError(EngineError):
    """The engine's process or connection is gone, or its stream ended without a final frame."""


class EngineMissingError(EngineError):
    """There is no such program, model or device: nothing that waiting cures."""


class EngineFaultError(EngineError):
    """The engine answered with an error of its own, or with something that is not its protocol."""


Readiness = Literal["ready", "loading", "down"]
Workload = Literal["completion", "embedding", "rerank"]


@dataclass(frozen=True, slots=True)
class Completion:
    """One request to decode.

    Attributes:
        seed: 0 … 2**64-1, as admitted; the adapter maps it into its engine's range.
        strict: True = same inputs give the same tokens: no prompt cache, nothing that depends on neighbours.
        reuse_cache: the caller hints that a warm prefix exists; ignored when `strict`.
    """

    task_id: str
    prompt: str
    max_tokens: int
    seed: int
    strict: bool = True
    reuse_cache: bool = False


@dataclass(frozen=True, slots=True)
class Tokens:
    """The text pieces of one read, one piece per token of the engine, in order; a piece may be empty."""

    pieces: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """The engine's own end of a stream; always the last event.

    Attributes:
        finish_reason: `stop` (the model ended, or a stop word) or `length`.
        tokens_in, tokens_out: as the engine counted them.
        kv_warm: some of the prompt came from a prefix cache.
    """

    finish_reason: Literal["stop", "length"]
    tokens_in: int
    tokens_out: int
    kv_warm: bool = False


EngineEvent = Tokens | Finished

Took = Callable[[Sequence[str]], None]
"""Gets the pieces of one read, in the very call that brought them. What it raises comes out of the stream."""


@dataclass(frozen=True, slots=True)
class Vectors:
    """The answer of an embedding: one vector for each input, in their order, and the tokens that the engine counted."""

    embeddings: tuple[tuple[float, ...], ...]
    tokens_in: int


@dataclass(frozen=True, slots=True)
class Scores:
    """The answer of a rerank: one figure for each document, in their order; the higher, the closer to the query."""

    scores: tuple[float, ...]
    tokens_in: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What an engine's own metrics say now.

    Attributes:
        kv_cache_ratio: 0 … 1, or None where this version does not export it.
        slots_active: sequences in work, or None where unknown.
        prefix_cache_tokens: what prefix caches hold of the KV cache beside the sequences in work; None where the engine
            does not tell. llama-server, vLLM, TGI and Triton do not: their figures count what sequences use.
    """

    kv_cache_ratio: float | None = None
    slots_active: int | None = None
    prefix_cache_tokens: int | None = None


class Engine(Protocol):
    """One replica's engine process, as the runtime sees it. Every method may raise `EngineError`."""

    async def readiness(self) -> Readiness:
        """Ask the health endpoint; a refused connection is `down`, not an error."""

    async def properties(self) -> ReplicaFacts:
        """Read version, model, context and slots. Called once per (re)start, after `ready`."""

    async def workloads(self) -> tuple[Workload, ...]:
        """What the engine offers, by trying where it does not tell. Called once per (re)start, after `properties`."""

    async def count_tokens(self, text: str) -> int:
        """How many tokens `text` is for this model, special tokens included."""

    def complete(self, request: Completion, took: Took | None = None) -> AsyncGenerator[EngineEvent, None]:
        """Decode as a stream: any number of `Tokens`, then exactly one `Finished`.

        Args:
            took: where an engine can, it calls this with the pieces of a read, and yields no `Tokens` of them.
        """

    async def embed(self, inputs: tuple[str, ...]) -> Vectors:
        """Embed at once. Cancelling the caller closes the engine's connection."""

    async def rerank(self, query: str, documents: tuple[str, ...]) -> Scores:
        """Score documents at once, as `embed`."""

    async def confirm_stopped(self, task_id: str) -> None:
        """Return once the engine no longer works for `task_id`, whose generator was closed; the caller has a limit."""

    async def usage(self) -> Usage:
        """Scrape the engine's metrics."""

    async def close(self) -> None:
        """Release connections; the engine itself goes on."""


# ruff: noqa: ARG002 - what follows refuses whatever it is given
class CompletesOnly:
    """Of an engine that only completes: what it refuses, since nothing like it was claimed."""

    async def workloads(self) -> tuple[Workload, ...]:
        """Completion alone."""
        return ("completion",)

    async def embed(self, inputs: tuple[str, ...]) -> Vectors:
        """Refused."""
        raise EngineRefusedError("501 does not embed", status=501)

    async def rerank(self, query: str, documents: tuple[str, ...]) -> Scores:
        """Refused."""
        raise EngineRefusedError("501 does not rerank", status=501)

"""One stream as it came, with all that it may depend on."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from determinism.seeds import Case

Path = Literal["orchestrator", "direct"]
Cache = Literal["cold", "warm"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What is not an input, and must not matter.

    Attributes:
        path: through the orchestrator, or past it.
        replica: as `started` names it; of the direct path, the engine's own name here.
        life: how often the engines had been started, from 1.
        cache: `warm`: the same prompt ran there right before, and the task asked for the cache to be used.
        siblings: how many other tasks decoded all the while, on the whole server.
        siblings_on_replica: how many of these on the same replica: an engine's batch.
        attempt: 1, 2 …: the same again.
    """

    path: Path = "orchestrator"
    replica: str = ""
    life: int = 1
    cache: Cache = "cold"
    siblings: int = 0
    siblings_on_replica: int = 0
    attempt: int = 1

    def __str__(self) -> str:
        parts = [f"{self.path} {self.replica}".strip()]
        parts += [f"start {self.life}"] if self.life > 1 else []
        parts += ["warm cache"] if self.cache == "warm" else []
        parts += [f"beside {self.siblings}"] if self.siblings else []
        parts += [f"{self.siblings_on_replica} of them on its replica"] if self.siblings_on_replica else []
        parts += [f"attempt {self.attempt}"] if self.attempt > 1 else []
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Identity:
    """What a stream belongs to: equality is never assumed across two of these (ORCH-3047, OC-CORE-1032)."""

    engine: str
    engine_version: str
    model_digest: str
    sampler_profile_version: str

    def __str__(self) -> str:
        digest = self.model_digest.removeprefix("sha256:")[:12] or "unknown"
        return f"{self.engine} {self.engine_version}, model {digest}, sampler {self.sampler_profile_version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A stream.

    Attributes:
        pieces: the texts of the token frames, in order; of the direct path, the text in one piece.
        finish: the reason of the end.
    """

    case: Case
    pieces: tuple[str, ...]
    tokens_out: int
    finish: str
    under: Conditions
    identity: Identity

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.pieces)

    def flipped(self, index: int, piece: str) -> "Recording":
        """The same with another piece at `index`: what a broken engine would have sent."""
        return replace(self, pieces=(*self.pieces[:index], piece, *self.pieces[index + 1 :]))

    def as_json(self) -> Mapping[str, Any]:
        """For a report."""
        return {
            "seed": self.case.seed,
            "prompt": self.case.prompt,
            "under": {**asdict(self.under), "text": str(self.under)},
            "pieces": list(self.pieces),
            "tokens_out": self.tokens_out,
            "finish": self.finish,
            "identity": asdict(self.identity),
        }


@dataclass(frozen=True, slots=True)
class Undecoded:
    """A task that came to no stream. An error is no sample: it is neither equal nor different."""

    case: Case
    under: Conditions
    why: str

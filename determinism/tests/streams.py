"""Recordings made by hand."""

from determinism.recording import Conditions, Identity, Recording
from determinism.seeds import Case, cases

IDENTITY = Identity("llamacpp", "b1", "sha256:00", "v1")
TOKENS = 32


def recorded(case: Case, under: Conditions, *, identity: Identity = IDENTITY, text: str | None = None) -> Recording:
    """The stream of a perfect engine: it follows from the case alone."""
    pieces = tuple(f" {case.seed % 97}.{n}" for n in range(TOKENS)) if text is None else (text,)
    return Recording(case=case, pieces=pieces, tokens_out=TOKENS, finish="length", under=under, identity=identity)


def both_replicas() -> list[Recording]:
    """All seeds on two replicas, all equal."""
    return [recorded(case, Conditions(replica=name)) for case in cases() for name in ("r0", "r1")]

"""Why two streams differ: how near the two tokens were, and which single factor is enough to get the other one.

A mismatch is decoded again alone and with cold caches on the replica that showed it, twice, and then with one factor
changed at a time, the smallest first, up to the first that changes the stream: that one is named. Run to run is the
smallest of all.

Source: ORCH-3045, ORCH-3050.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

from determinism.compare import Mismatch, divergence
from determinism.recording import Conditions, Recording
from determinism.replay import Decoding
from determinism.seeds import Case
from harness.engines.direct import TOP, DirectEngine, EngineDoesNotTellError, Step

NEAR_TIE_NATS = 0.2  # so far apart were decoding a token and reading it again, with 4-bit weights on a CPU (87 tokens)
FACTORS = ("run to run", "warm cache", "siblings", "replica", "path", "engine restart")
"""From the smallest change to the largest."""

SIBLINGS_TRIED = 8


@dataclass(frozen=True, slots=True)
class Gap:
    """How far apart the two tokens are, by the engine's own word.

    Attributes:
        expected, actual: log-probabilities in nats; None = not among the likeliest.
        why_not: why the engine could not be asked.
    """

    expected: float | None = None
    actual: float | None = None
    why_not: str = ""

    @property
    def nats(self) -> float | None:
        """The difference, where both are known."""
        return None if self.expected is None or self.actual is None else abs(self.expected - self.actual)

    @property
    def is_near_tie(self) -> bool | None:
        """Rounding alone could swap them; None = unknown."""
        if self.why_not:
            return None
        return self.nats is not None and self.nats <= NEAR_TIE_NATS

    def __str__(self) -> str:
        if self.why_not:
            return f"unknown: {self.why_not}"
        if self.nats is None:
            return f"not both among the {TOP} likeliest ({self.expected} and {self.actual}): no near tie"
        kind = (
            "a near tie: another order of the same sums can swap them"
            if self.is_near_tie
            else "no near tie: rounding alone does not swap them"
        )
        return f"{self.nats:.4f} nats ({self.expected:.4f} and {self.actual:.4f}): {kind}"


@dataclass(frozen=True, slots=True)
class Trial:
    """One factor, changed alone.

    Attributes:
        flips: the stream became another one; None = it could not be arranged, and `text` says why.
    """

    factor: str
    flips: bool | None
    text: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """A mismatch, and what was found out about it."""

    mismatch: Mismatch
    gap: Gap
    trials: tuple[Trial, ...]

    @property
    def smallest(self) -> str | None:
        """The smallest factor that is enough; None = no single one was."""
        return next((trial.factor for trial in self.trials if trial.flips), None)

    def __str__(self) -> str:
        one, at = self.mismatch, self.mismatch.at
        cause = self.smallest or "no single factor that was tried: it did not come again, or takes several at once"
        lines = [
            f"seed {one.case.seed}, prompt {one.case.prompt}: first difference at token {at.index}",
            f"  {one.expected.under}: {at.expected!r} in {one.expected.text!r}",
            f"  {one.actual.under}: {at.actual!r} in {one.actual.text!r}",
            f"  gap: {self.gap}",
            f"  smallest factor: {cause}",
        ]
        return "\n".join([*lines, *(f"    {trial.factor}: {trial.text}" for trial in self.trials)])

    def as_json(self) -> dict[str, Any]:
        """For a report."""
        return {
            "seed": self.mismatch.case.seed,
            "prompt": self.mismatch.case.text,
            "first_divergent_token": self.mismatch.at.index,
            "expected": self.mismatch.expected.as_json(),
            "actual": self.mismatch.actual.as_json(),
            "gap": {**asdict(self.gap), "nats": self.gap.nats, "is_near_tie": self.gap.is_near_tie},
            "trials": [asdict(trial) for trial in self.trials],
            "smallest_factor": self.smallest,
        }


class Lab(Protocol):
    """Where streams are decoded again."""

    def alternatives(self, base: Conditions, factor: str) -> Conditions | str:
        """The conditions with one factor changed, or why that cannot be had here."""

    def decode(self, case: Case, under: Conditions) -> Decoding:
        """Decode under exactly these conditions."""

    def engine(self) -> DirectEngine | None:
        """An engine that can be asked for log-probabilities."""


def explain(mismatch: Mismatch, lab: Lab) -> Explanation:
    """Look into one mismatch; some dozens of decodes at most."""
    return Explanation(mismatch, gap_of(mismatch, lab.engine()), tuple(_trials(mismatch, lab)))


def gap_of(mismatch: Mismatch, engine: DirectEngine | None) -> Gap:
    """The log-probabilities of both tokens after the part that both streams share."""
    if engine is None:
        return Gap(why_not="no engine can be asked here; name one with --engine-url")
    if mismatch.expected.text == mismatch.actual.text:
        return Gap(why_not="it was not asked: the texts are equal, only cut otherwise into tokens")
    try:
        step = _step_at(mismatch, engine)
    except EngineDoesNotTellError as error:
        return Gap(why_not=str(error))
    if step is None:
        return Gap(why_not="it has no token there")
    return Gap(_logprob(step, mismatch, mismatch.expected), _logprob(step, mismatch, mismatch.actual))


def _step_at(mismatch: Mismatch, engine: DirectEngine) -> Step | None:
    """The engine's candidates after the part that both streams share.

    From its own decode where that goes the same way; else it reads the shared text, which may become other tokens.
    """
    case, index = mismatch.case, mismatch.at.index
    shared = mismatch.expected.text[: mismatch.at.offset]
    own = engine.decode(case.text, seed=case.seed, max_tokens=index + 1, top=TOP)
    if len(own.steps) > index and "".join(own.pieces[:index]) == shared:
        return own.steps[index]
    read = engine.decode(case.text + shared, seed=case.seed, max_tokens=1, top=TOP)
    return read.steps[0] if read.steps else None


def _logprob(step: Step, mismatch: Mismatch, recording: Recording) -> float | None:
    """Of the likeliest token that this stream's rest begins with."""
    rest = recording.text[mismatch.at.offset :]
    fitting = [c for c in step.top if c.text and rest.startswith(c.text)]
    return max(fitting, key=lambda c: len(c.text)).logprob if fitting else None


def _base_of(mismatch: Mismatch) -> Conditions:
    """Nothing changed yet: where the odd stream came from, for another replica to be the change."""
    base, odd = mismatch.expected.under, mismatch.actual.under
    base = replace(base, cache="cold", siblings=0, siblings_on_replica=0, attempt=1)
    return replace(base, replica=odd.replica) if base.path == odd.path else base


def _trials(mismatch: Mismatch, lab: Lab) -> Iterator[Trial]:
    case, base = mismatch.case, _base_of(mismatch)
    first = lab.decode(case, base)
    if not isinstance(first, Recording):
        yield Trial("run to run", None, f"could not be decoded again: {first.why}")
        return
    for factor in FACTORS:
        under = replace(base, attempt=2) if factor == "run to run" else lab.alternatives(base, factor)
        if factor == "siblings" and isinstance(under, Conditions) and mismatch.actual.under.siblings:
            under = replace(under, siblings=mismatch.actual.under.siblings)
        if isinstance(under, str):
            yield Trial(factor, None, under)
            continue
        again = lab.decode(case, under)
        if not isinstance(again, Recording):
            yield Trial(factor, None, f"{under}: {again.why}")
            continue
        at = divergence(first, again)
        seen = replace(again.under, attempt=under.attempt)
        yield Trial(factor, at is not None, f"{seen}: {'equal' if at is None else f'differs at token {at.index}'}")
        if at is not None:
            return  # it is the smallest: what comes after changes more, and may restart engines

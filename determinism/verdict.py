"""What the suite's checks came to. Pure.

Source: ORCH-3045, ORCH-3047, ORCH-3050, OC-TEST-7001 … 7003, OC-TEST-7009.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from determinism.compare import Mismatch, compare, identities, prompts_that_ignore_the_seed, uncovered
from determinism.explain import Explanation
from determinism.recording import Recording, Undecoded
from determinism.replay import Decoding
from determinism.seeds import COUNT, Case
from harness.outcome import Outcome

CHECKS: Final[Mapping[str, tuple[str, ...]]] = {
    "replicas": ("ORCH-3045", "ORCH-3050", "OC-TEST-7001"),
    "control": ("OC-TEST-7006", "OC-CORE-1030"),
    "warm-cache": ("ORCH-3045", "OC-CORE-1030", "OC-TEST-7061"),
    "siblings": ("ORCH-3045", "OC-CORE-1030", "OC-TEST-7061", "OC-TEST-7068"),
    "restart": ("ORCH-3045", "OC-CORE-1030", "OC-TEST-7061"),
    "direct": ("ORCH-3050", "OC-TEST-7002", "OC-TEST-7061"),
    "pinned": ("ORCH-3047", "OC-CORE-1032"),
    "seeds": ("OC-TEST-7003",),
}
"""Each check, and what it proves."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One check's result.

    Attributes:
        streams: how many were compared.
    """

    check: str
    outcome: Outcome
    text: str
    streams: int = 0
    mismatches: tuple[Mismatch, ...] = ()
    explanations: tuple[Explanation, ...] = ()

    @property
    def requirements(self) -> tuple[str, ...]:
        """What it proves."""
        return CHECKS[self.check]


@dataclass(slots=True)
class Evidence:
    """Everything that a run has decoded, by check."""

    cases: Sequence[Case]
    taken: dict[str, list[Decoding]] = field(default_factory=dict)

    def recordings(self, *checks: str) -> list[Recording]:
        """The streams of these checks; of all without a name."""
        return [r for c in checks or self.taken for r in self.taken.get(c, []) if isinstance(r, Recording)]

    def undecoded(self, check: str) -> list[Undecoded]:
        """What came to no stream."""
        return [r for r in self.taken.get(check, []) if isinstance(r, Undecoded)]


def mismatches_of(check: str, evidence: Evidence) -> list[Mismatch]:
    """The streams of one check against each other and against those of `replicas`, the baseline."""
    new = {id(r) for r in evidence.recordings(check)}
    together = evidence.recordings("replicas", check) if check != "replicas" else evidence.recordings(check)
    return [m for m in compare(together) if {id(m.expected), id(m.actual)} & new]


def equality(check: str, evidence: Evidence, found: Sequence[Mismatch], explained: Sequence[Explanation]) -> Verdict:
    """The verdict of a check that wants equal streams."""
    streams, lost = evidence.recordings(check), evidence.undecoded(check)
    if found:
        seeds = sorted({m.case.seed for m in found})
        text = f"{len(found)} of {len(streams)} streams differ, of the seeds {_listed(seeds)}"
        return Verdict(check, Outcome.FAIL, text, len(streams), tuple(found), tuple(explained))
    if lost:
        text = f"{len(lost)} tasks came to no stream: {lost[0].under}: {lost[0].why}"
        return Verdict(check, Outcome.NOT_TESTABLE, text, len(streams))
    if not streams:
        return Verdict(check, Outcome.NOT_TESTABLE, "nothing was decoded")
    return Verdict(check, Outcome.PASS, f"{len(streams)} streams, all equal", len(streams))


def replicas(evidence: Evidence, verdict: Verdict, *, wanted: int | None) -> Verdict:
    """Equal streams prove something across replicas only where every replica has every seed.

    Args:
        wanted: how many there have to be; None = as many as the server has.
    """
    if verdict.outcome is not Outcome.PASS:
        return verdict
    names = sorted({r.under.replica for r in evidence.recordings("replicas")})
    if wanted is not None and len(names) != wanted:
        text = f"{wanted} replicas wanted, and started named {names}"
        return Verdict("replicas", Outcome.NOT_TESTABLE, text, verdict.streams)
    if missing := uncovered(evidence.recordings("replicas"), evidence.cases, names):
        seed, replica = min(missing)
        text = f"{len(missing)} pairs of seed and replica have no stream: {seed} on {replica}, for one"
        return Verdict("replicas", Outcome.NOT_TESTABLE, text, verdict.streams)
    if len(names) < 2:
        text = f"one replica ({names[0] or 'without a name'}): compared with itself only"
        return Verdict("replicas", Outcome.NOT_APPLICABLE, text, verdict.streams)
    text = f"{len(evidence.cases)} seeds on {len(names)} replicas: {verdict.streams} streams, all equal"
    return Verdict("replicas", Outcome.PASS, text, verdict.streams)


def siblings(evidence: Evidence, verdict: Verdict) -> Verdict:
    """With how many others the streams were decoded: an engine with one slot never has two in a batch."""
    beside = [r.under for r in evidence.recordings("siblings")]
    if verdict.outcome is not Outcome.PASS:
        return verdict
    counts = _listed(sorted({under.siblings for under in beside}), most=len(beside))
    most = max(under.siblings_on_replica for under in beside)
    text = f"{verdict.text}, beside {counts} others, up to {most} of them on the same replica"
    return replace(verdict, text=text)


def control(evidence: Evidence) -> Verdict:
    """The suite can see a difference at all: seeds change the text, and without a seed it changes by itself."""
    streams, seedless, lost = (
        evidence.recordings("replicas"),
        evidence.recordings("control"),
        evidence.undecoded("control"),
    )
    count = len(streams) + len(seedless)
    if ignoring := prompts_that_ignore_the_seed(streams):
        text = (
            f"every seed gives the same text (prompts {sorted(ignoring)}): the seed is ignored, equality proves nothing"
        )
        return Verdict("control", Outcome.NOT_TESTABLE, text, count)
    if lost or not seedless:
        why = lost[0].why if lost else "nothing was decoded"
        return Verdict("control", Outcome.NOT_TESTABLE, f"tasks without a seed came to no stream: {why}", count)
    if len({r.text for r in seedless}) == 1:
        text = f"{len(seedless)} tasks without a seed gave one text: nothing here is drawn at random"
        return Verdict("control", Outcome.NOT_TESTABLE, text, count)
    different = len({r.text for r in streams})
    text = f"{different} different texts of {len({r.case for r in streams})} seeds; without a seed the text changes"
    return Verdict("control", Outcome.PASS, text, count)


def pinned(evidence: Evidence) -> Verdict:
    """All streams belong to one engine version, model and sampler profile; others were not compared."""
    streams = evidence.recordings()
    found = sorted(map(str, identities(streams)))
    if not found:
        return Verdict("pinned", Outcome.NOT_TESTABLE, "nothing was decoded")
    if len(found) > 1:
        text = f"one set, and {len(found)} identities, which are never compared: {'; '.join(found)}"
        return Verdict("pinned", Outcome.FAIL, text, len(streams))
    return Verdict("pinned", Outcome.PASS, found[0], len(streams))


def seeds(evidence: Evidence) -> Verdict:
    """Enough seeds for the run to be the suite."""
    count = len(evidence.cases)
    if count < COUNT:
        return Verdict("seeds", Outcome.NOT_APPLICABLE, f"{count} of at least {COUNT} seeds: a part of the suite")
    return Verdict("seeds", Outcome.PASS, f"{count} seeds")


OF_ALL: Final[Mapping[str, Callable[[Evidence], Verdict]]] = {"pinned": pinned, "seeds": seeds}
"""Checks that decode nothing: they judge what the others have decoded."""


def _listed(values: Iterable[int], most: int = 5) -> str:
    found = list(values)
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(map(str, found[:most])) + more

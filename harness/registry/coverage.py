"""Which requirements a run has proved, from what its checks emitted. Pure.

Source: OC-TEST-7020.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness.outcome import Outcome
from harness.registry.evidence import Evidence

WORST_FIRST = (
    Outcome.FAIL,
    Outcome.HANG,
    Outcome.NOT_TESTABLE,
    Outcome.WARN,
    Outcome.PASS,
    Outcome.UNKNOWN,
    Outcome.NOT_APPLICABLE,
)
"""One failure is the verdict, whatever else passed. PASS beats UNKNOWN: one check has shown it, another could not."""


@dataclass(frozen=True, slots=True)
class Covered:
    """What a run knows of one requirement.

    Attributes:
        verdict: None = nothing was emitted for it.
        checks: the verdict of each check that looked at it, by id.
    """

    requirement: str
    verdict: Outcome | None
    checks: Mapping[str, Outcome]

    @property
    def is_proved(self) -> bool:
        """A check has looked, and it holds."""
        return self.verdict is Outcome.PASS


def worst(outcomes: Iterable[Outcome]) -> Outcome | None:
    """The one that decides; None of nothing."""
    found = set(outcomes)
    return next((outcome for outcome in WORST_FIRST if outcome in found), None)


def coverage(lines: Iterable[Evidence], wanted: Iterable[str]) -> list[Covered]:
    """Every wanted requirement with what the lines say of it, in the order of `wanted`."""
    by_requirement: dict[str, dict[str, list[Outcome]]] = defaultdict(lambda: defaultdict(list))
    for line in lines:
        by_requirement[line.requirement][line.check].append(line.verdict)
    found = []
    for identifier in wanted:
        checks = {check: worst(outcomes) for check, outcomes in sorted(by_requirement[identifier].items())}
        known = {check: outcome for check, outcome in checks.items() if outcome is not None}
        found.append(Covered(identifier, worst(known.values()), known))
    return found

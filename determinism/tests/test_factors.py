"""Engines that one factor alone changes: the check of that factor finds it, no smaller one does, and it is named.

Whole runs on the reference server, over the wire; the engines are stand-ins that the bench starts and stops itself.
"""

from dataclasses import dataclass
from pathlib import Path

import pytest

from determinism.lab import Bench
from determinism.run import Run
from determinism.seeds import cases
from determinism.settings import Setup
from determinism.tests.engines import StandIns
from determinism.verdict import Verdict
from harness.engines.script import Script
from harness.outcome import Outcome

pytestmark = pytest.mark.timeout(240)

SOME = cases(10)
AT = 5
DELAY_S = 0.005  # before each token: the second copy of a task finds the first replica in use
CHECKS = ("replicas", "warm-cache", "siblings", "restart", "direct")


@dataclass(frozen=True, slots=True)
class Broken:
    """An engine, the check that has to find it, and the factor that has to be named.

    Attributes:
        shifts_by_start: a token is another one after each start.
        passing: the checks of smaller changes; what they see is equal.
    """

    script: Script
    check: str
    factor: str
    passing: tuple[str, ...]
    shifts_by_start: bool = False
    slots: int = 1

    def of(self, start: int) -> Script:
        """Of its engines at this start."""
        return Script(delay_s=DELAY_S, shifts=(AT, start)) if self.shifts_by_start else self.script


# Warm: slower, for a copy that comes late on a busy machine, too: a second one on the same replica would be a warm one.
BROKEN = (
    Broken(Script(delay_s=4 * DELAY_S, warm_at=AT), "warm-cache", "warm cache", ("replicas", "siblings", "restart")),
    Broken(
        Script(delay_s=DELAY_S, batch_at=AT), "siblings", "siblings", ("replicas", "warm-cache", "restart"), slots=4
    ),
    Broken(
        Script(delay_s=DELAY_S, streamed_at=AT), "direct", "path", ("replicas", "warm-cache", "siblings", "restart")
    ),
    Broken(Script(), "restart", "engine restart", ("replicas", "warm-cache", "siblings"), shifts_by_start=True),
)


def verdicts(launch: StandIns, folder: Path, checks: tuple[str, ...]) -> dict[str, Verdict]:
    setup = Setup(slots=launch.slots)
    bench = Bench(setup, tokens=12, folder=folder, launch=launch)
    try:
        bench.start()
        return {verdict.check: verdict for verdict in Run(bench, SOME, checks=checks, wanted=2)}
    finally:
        bench.stop()


@pytest.mark.req("OC-TEST-7061", "ORCH-3045")
def test_an_engine_that_nothing_changes_passes_all_checks(tmp_path: Path) -> None:
    found = verdicts(StandIns(lambda _: Script(delay_s=DELAY_S), slots=4), tmp_path, CHECKS)

    assert dict.fromkeys(CHECKS, Outcome.PASS) == {check: verdict.outcome for check, verdict in found.items()}


@pytest.mark.req("OC-TEST-7060", "OC-TEST-7061", "OC-TEST-7006")
@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.factor)
def test_an_engine_that_one_factor_changes_is_found_and_the_factor_named(tmp_path: Path, broken: Broken) -> None:
    found = verdicts(StandIns(broken.of, slots=broken.slots), tmp_path, (*broken.passing, broken.check))

    expected = {**dict.fromkeys(broken.passing, Outcome.PASS), broken.check: Outcome.FAIL}
    assert expected == {check: verdict.outcome for check, verdict in found.items()}
    explanations = found[broken.check].explanations
    assert explanations
    assert {broken.factor} == {explanation.smallest for explanation in explanations}, str(explanations[0])
    assert AT == min(mismatch.at.index for mismatch in found[broken.check].mismatches)

"""The suite bites: a good server passes, and each bad one is caught by the rule that is meant for it."""

from dataclasses import replace
from pathlib import Path

import pytest

from chaos import record
from chaos.faults.registry import FAULTS
from chaos.judge import RULES, judge
from chaos.run import run
from chaos.shrink import shrink
from chaos.stage import Options
from chaos.tests.sabotage import DEFECTS, command
from chaos.workloads.registry import WORKLOADS
from harness import leftovers

SEED = 20_261_124
DURATION_MS = 1_500
IDLE_MS = 20_000  # some bad servers are never idle again
QUIET = ("inversion", "cancel-storm")

CASES: dict[str, tuple[str, tuple[str, ...], set[str]]] = {
    "forgets-every-fifth-task": ("steady", ("kill-server",), {"nothing_lost"}),
    "writes-no-start-down": ("steady", ("kill-server",), {"runs_once"}),
    "tells-the-end-too-early": ("steady", ("kill-server",), {"one_end"}),
    "drains-without-a-deadline": ("mixed", ("stuck-drain",), {"drains_meet_their_deadline"}),
    "leaks-a-slot": ("mixed", ("flood",), {"same_capacity"}),
    "drops-the-youngest": ("overflow", ("flood",), {"victims_waited_longest"}),
    "last-come-first-served": ("lanes", ("flood",), {"first_come_first_served"}),
    "batch-first": ("lanes", ("inversion",), {"urgent_first"}),
    "lets-everybody-in": ("lanes", ("cancel-storm",), {"same_capacity"}),
    "breaks-when-it-is-full": ("lanes", ("flood",), {"server_errors_have_a_cause"}),
    "leaves-its-engine": ("mixed", ("cancel-storm",), {"no_orphan_engines"}),
    "takes-every-death-for-the-hosts": ("mixed", ("vram-oom",), {"deaths_are_told_apart"}),
    "never-settles": ("budgets", ("cancel-storm",), {"budgets_add_up"}),
    "mixes-up-two-pieces": ("mixed", ("cancel-storm",), {"ends_were_earned"}),
    "ignores-the-cancel": ("lanes", ("cancel-storm",), {"canceled_stays_canceled"}),
}
"""Defect → workload, faults, and the rules that have to be broken."""


def options(defect: str, workload: str, faults: tuple[str, ...]) -> Options:
    """A short run on an engine that stays, which starts quicker, where nothing needs the server's own."""
    kinds = tuple(FAULTS[name] for name in faults)
    is_supervised = defect == "leaves-its-engine" or any(kind.engine == "supervised" for kind in kinds)
    return Options(
        seed=SEED,
        workload=WORKLOADS[workload],
        kinds=kinds,
        duration_ms=DURATION_MS,
        command=command(defect),
        engine="supervised" if is_supervised else "attached",
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.req("OC-TEST-7006", "OC-TEST-7052", "OC-TEST-7054")
@pytest.mark.parametrize("defect", CASES)
def test_a_bad_server_is_caught_and_the_finding_repeats_from_a_short_file(tmp_path: Path, defect: str) -> None:
    workload, faults, expected = CASES[defect]
    with leftovers.watched() as left:
        verdict = run(replace(options(defect, workload, faults), idle_ms=IDLE_MS), tmp_path, lambda _: None)

    assert ("no_orphan_engines" in expected) == bool(left)
    found = {finding.rule: finding for finding in verdict.findings}
    assert "fail" == verdict.outcome
    assert expected <= set(found), verdict

    name = min(expected)
    rule = next(rule for rule in RULES if rule.__name__ == name)
    records = record.read(tmp_path / "history.jsonl")
    short = tmp_path / "short.jsonl"
    record.write(short, shrink(records, found[name], rule))
    again = judge(record.read(short), [rule])
    assert found[name].subject in {finding.subject for finding in again.findings}
    assert len(record.read(short)) < len(records) / 10


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.req("OC-TEST-7006")
def test_the_good_server_passes_when_it_is_started_in_the_same_way(tmp_path: Path) -> None:
    verdict = run(options("harmless", "lanes", QUIET), tmp_path, lambda _: None)

    assert ("pass", [], ()) == (verdict.outcome, [str(f.violation) for f in verdict.findings], verdict.doubts)


def test_every_defect_is_put_to_the_test() -> None:
    assert set(DEFECTS) - {"harmless"} == set(CASES)

"""Whole runs on the reference server: what is broken in an engine is found over the wire, and explained.

The engines are stand-ins on real sockets: no real one flips a token on demand.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from determinism.lab import Bench
from determinism.replay import SIBLING_SEEDS
from determinism.run import Run
from determinism.seeds import cases
from determinism.settings import Setup
from determinism.verdict import Verdict
from harness.engines.llamacpp import LlamaCppFormat
from harness.engines.script import Script
from harness.engines.stand_in import stand_in
from harness.outcome import Outcome

pytestmark = pytest.mark.timeout(240)

SOME = cases(12)
DELAY_S = 0.005  # before each token
CHECKS = ("replicas", "control", "pinned")


@contextmanager
def on_stand_ins(first: Script, second: Script, folder: Path, *, slots: int = 1) -> Iterator[Bench]:
    """A server with one replica on each of two stand-ins."""
    with stand_in(LlamaCppFormat(slots), first) as one, stand_in(LlamaCppFormat(slots), second) as other:
        bench = Bench(Setup(engine_urls=(one.url, other.url), slots=slots), tokens=12, folder=folder)
        try:
            bench.start()
            yield bench
        finally:
            bench.stop()


def good(**changes: Any) -> Script:
    """An engine that takes its time, so that the second copy of a task finds the first replica in use."""
    return Script(delay_s=DELAY_S, **changes)


def verdicts(bench: Bench, *, checks: tuple[str, ...] = CHECKS) -> dict[str, Verdict]:
    return {verdict.check: verdict for verdict in Run(bench, SOME, checks=checks, wanted=2)}


@pytest.mark.req("ORCH-3045", "ORCH-3050", "OC-TEST-7001")
def test_equal_stand_ins_give_equal_streams_warm_and_beside_siblings(tmp_path: Path) -> None:
    with on_stand_ins(good(), good(), tmp_path) as bench:
        found = verdicts(bench, checks=(*CHECKS, "warm-cache", "siblings", "restart"))

    wanted = {**dict.fromkeys((*CHECKS, "warm-cache", "siblings"), Outcome.PASS), "restart": Outcome.NOT_APPLICABLE}
    assert wanted == {check: verdict.outcome for check, verdict in found.items()}
    assert 2 * len(SOME) <= found["replicas"].streams  # a copy that came late may have found the same replica free


@pytest.mark.req("OC-TEST-7061", "OC-TEST-7068")
def test_streams_are_decoded_beside_as_many_as_leave_a_slot_for_them(tmp_path: Path) -> None:
    with on_stand_ins(good(), good(), tmp_path, slots=5) as bench:
        found = verdicts(bench, checks=("replicas", "siblings"))["siblings"]

    assert (Outcome.PASS, 7) == (found.outcome, found.streams)
    assert "beside 1, 2, 8, 9 others, up to 4 of them on the same replica" in found.text


@pytest.mark.req("OC-TEST-7068", "OC-TEST-7006", "OC-TEST-7009")
@pytest.mark.parametrize("tokens", [1, 4], ids=["before", "meanwhile"])
def test_beside_siblings_that_end_early_nothing_is_proven(tmp_path: Path, tokens: int) -> None:
    """They end long before the judged streams; all streams are equal, and none was beside another."""
    short = (range(SIBLING_SEEDS, 2 * SIBLING_SEEDS), tokens)
    with on_stand_ins(good(short=short), good(short=short), tmp_path) as bench:
        found = verdicts(bench, checks=("replicas", "siblings"))

    assert Outcome.PASS is found["replicas"].outcome
    assert (Outcome.NOT_TESTABLE, 0) == (found["siblings"].outcome, found["siblings"].streams)
    assert re.search("sibling 1 of 1 did not decode when the stream .*: it is ended", found["siblings"].text)


@pytest.mark.req("OC-TEST-7068")
def test_a_sibling_that_ends_early_is_replaced_by_another(tmp_path: Path) -> None:
    """As a model that happens to end that one's text; the next has another seed."""
    short = (range(SIBLING_SEEDS, SIBLING_SEEDS + 1), 1)
    with on_stand_ins(good(short=short), good(short=short), tmp_path) as bench:
        found = verdicts(bench, checks=("replicas", "siblings"))["siblings"]

    assert (Outcome.PASS, 7) == (found.outcome, found.streams)


@pytest.mark.req("OC-TEST-7068", "OC-TEST-7009")
def test_beside_siblings_that_are_refused_nothing_is_proven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("determinism.replay.SIBLING_SHARE", 2)  # of the context: more than there is
    with on_stand_ins(good(), good(), tmp_path) as bench:
        found = verdicts(bench, checks=("replicas", "siblings"))["siblings"]

    assert (Outcome.NOT_TESTABLE, 0) == (found.outcome, found.streams)
    assert "sibling 1 of 1 not admitted: " in found.text


@pytest.mark.req("OC-TEST-7068")
def test_a_server_that_decodes_one_task_at_a_time_has_nothing_beside_it(tmp_path: Path) -> None:
    with stand_in(LlamaCppFormat(), good()) as engine:
        bench = Bench(Setup(engine_urls=(engine.url,), replicas=1), tokens=12, folder=tmp_path)
        try:
            bench.start()
            found = verdicts(bench, checks=("replicas", "siblings"))["siblings"]
        finally:
            bench.stop()

    assert (Outcome.NOT_APPLICABLE, 0) == (found.outcome, found.streams)


@pytest.mark.req("OC-TEST-7006", "OC-TEST-7060", "OC-TEST-7062")
@pytest.mark.parametrize(("position", "index"), [(0, 0), (6, 5), (11, 11)], ids=["first", "middle", "last"])
def test_one_flipped_token_of_one_replica_is_found_and_the_replica_named(
    tmp_path: Path, position: int, index: int
) -> None:
    bad = good(flips=(SOME[position].seed, index))
    with on_stand_ins(good(), bad, tmp_path) as bench:
        verdict = verdicts(bench)["replicas"]

    (mismatch,), (explanation,) = verdict.mismatches, verdict.explanations
    assert (Outcome.FAIL, SOME[position], index) == (verdict.outcome, mismatch.case, mismatch.at.index)
    assert "replica" == explanation.smallest


@pytest.mark.req("OC-TEST-7006", "OC-TEST-7060")
def test_engines_that_drift_in_step_are_found_by_the_second_run_and_need_no_factor_at_all(tmp_path: Path) -> None:
    """Two replicas that drift alike are equal at any one time: only the same again shows it."""
    with on_stand_ins(good(drifts_at=3), good(drifts_at=3), tmp_path) as bench:
        found = verdicts(bench, checks=("replicas", "warm-cache"))

    assert Outcome.FAIL is found["warm-cache"].outcome
    assert "run to run" in {explanation.smallest for explanation in found["warm-cache"].explanations}


@pytest.mark.req("OC-TEST-7006", "OC-TEST-7062")
def test_an_engine_that_ignores_the_seed_is_found_although_all_streams_are_equal(tmp_path: Path) -> None:
    with on_stand_ins(good(ignores_seed=True), good(ignores_seed=True), tmp_path) as bench:
        found = verdicts(bench)

    assert Outcome.PASS is found["replicas"].outcome
    assert (Outcome.NOT_TESTABLE, True) == (found["control"].outcome, "seed is ignored" in found["control"].text)


@pytest.mark.req("ORCH-3047", "OC-CORE-1032")
def test_streams_of_two_engine_versions_are_not_compared(tmp_path: Path) -> None:
    """The server refuses the odd one, so one replica stays away: that is no pass either."""
    with on_stand_ins(good(version="mock-1.0"), good(version="mock-2.0"), tmp_path) as bench:
        found = verdicts(bench)

    assert Outcome.NOT_TESTABLE is found["replicas"].outcome
    assert () == found["replicas"].mismatches


@pytest.mark.req("OC-TEST-7063", "OC-TEST-7009")
def test_a_task_that_fails_is_no_stream(tmp_path: Path) -> None:
    with on_stand_ins(good(error_at=4), good(error_at=4), tmp_path) as bench:
        found = verdicts(bench)

    assert {Outcome.NOT_TESTABLE} == {verdict.outcome for verdict in found.values()}


@pytest.mark.req("OC-TEST-7061")
def test_the_embedded_engine_is_deterministic_across_a_restart_of_its_server(tmp_path: Path) -> None:
    bench = Bench(Setup(engine="mock"), tokens=12, folder=tmp_path)
    try:
        bench.start()
        found = verdicts(bench, checks=("replicas", "restart"))
    finally:
        bench.stop()

    assert {Outcome.PASS} == {verdict.outcome for verdict in found.values()}
    assert 2 == bench.life

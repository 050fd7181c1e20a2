"""The real llama-server with several slots, where it does put what is beside a stream into the same batch.

Whether a batch changes a stream is the engine's choice of kernels, so either verdict is right here: what has to hold is
that the batch was there, and that a difference is explained by it.
"""

from pathlib import Path

import pytest

from determinism.lab import Bench
from determinism.run import SIBLINGS, Run
from determinism.seeds import cases
from determinism.settings import Setup
from harness.outcome import Outcome

pytestmark = [pytest.mark.real_engine, pytest.mark.timeout(600)]

SLOTS = 33  # of each of two replicas: room for the largest of the counts and the stream itself


@pytest.mark.req("OC-TEST-7061", "OC-TEST-7068", "OC-TEST-7060")
def test_streams_in_a_batch_are_equal_or_differ_by_what_is_beside_them(tmp_path: Path) -> None:
    bench = Bench(Setup(slots=SLOTS), tokens=16, folder=tmp_path)
    try:
        bench.start()
        run = Run(bench, cases(4), checks=("replicas", "siblings"), wanted=2)
        baseline, beside = list(run)
    finally:
        bench.stop()

    assert Outcome.PASS is baseline.outcome, baseline.text
    streams = [recording.under for recording in run.evidence.recordings("siblings")]
    assert set(SIBLINGS) == {under.siblings for under in streams}, beside.text
    fullest = max(under.siblings_on_replica for under in streams)
    assert fullest >= SLOTS - 2  # where a sibling was replaced, 33 may decode on the other replica, and 31 on this one
    assert (Outcome.FAIL if beside.mismatches else Outcome.PASS) is beside.outcome, beside.text
    explained = [(one.smallest, one.gap.is_near_tie) for one in beside.explanations]
    assert [("siblings", True)] * len(explained) == explained, "\n".join(map(str, beside.explanations))

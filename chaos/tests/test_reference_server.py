"""The reference server under every fault: each strikes in one of these runs, and every run says that it hit.

The 200 kills are issue-sized: four processes, of which two run at a time, with 50 kills each.
"""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chaos.faults.registry import FAULTS

SEED = 20_261_124
CHAOS = [sys.executable, "-m", "chaos"]

RUNS: dict[str, tuple[str, tuple[str, ...]]] = {
    "kills": ("mixed", ("kill-server", "pause-server", "kill-engine")),
    "engine-deaths": ("mixed", ("cuda-error", "vram-oom", "host-oom", "pause-engine")),
    "clients-network": ("mixed", ("cut", "delay", "slice", "drop", "half-close")),
    "engine-network": ("mixed", ("cut@engine", "delay@engine", "slice@engine", "drop@engine", "half-close@engine")),
    "full-disk": ("mixed", ("full-disk",)),
    "change": ("mixed", ("drain", "stuck-drain", "reload", "pause-engine")),
    "pressure": ("lanes", ("flood", "inversion", "cancel-storm")),
    "overflow": ("overflow", ("flood", "slow-readers", "vanishing-readers")),
    "budgets": ("budgets", ("kill-server", "cancel-storm")),
}
"""Workload and faults of each run."""

KILLS, PROCESSES, AT_A_TIME = 200, 4, 2


def chaos(folder: Path, *arguments: str) -> dict[str, object]:
    """One run; its report, which is shown when it did not pass."""
    done = subprocess.run(
        [*CHAOS, *arguments, "--out", str(folder), "--json"], check=False, capture_output=True, text=True
    )
    assert 0 == done.returncode, done.stderr
    report: dict[str, object] = json.loads(done.stdout)
    return report


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.req("ORCH-3051", "OC-TEST-7050", "OC-TEST-7054")
@pytest.mark.parametrize("run", RUNS)
def test_the_reference_server_passes(tmp_path: Path, run: str) -> None:
    workload, faults = RUNS[run]
    named = [part for fault in faults for part in ("--fault", fault)]

    report = chaos(tmp_path, "--seed", str(SEED), "--workload", workload, "--duration", "2", *named)

    assert "pass" == report["outcome"]


def test_every_fault_strikes_in_one_of_the_runs() -> None:
    assert set(FAULTS) == {fault for _, faults in RUNS.values() for fault in faults}


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.req("OC-CORE-1050", "OC-CORE-1051", "OC-CORE-1052", "OC-CORE-1054")
def test_nothing_is_lost_or_run_twice_over_two_hundred_kills(tmp_path: Path) -> None:
    def one(number: int) -> dict[str, object]:
        shape = ("--workload", "steady", "--engine", "attached", "--fault", "kill-server")
        blows = str(KILLS // PROCESSES)
        return chaos(tmp_path / str(number), "--seed", str(SEED + number), "--blows", blows, *shape)

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        reports = list(pool.map(one, range(PROCESSES)))

    killed = [fault for report in reports for fault in report["faults_seen"] if fault["hits"]]  # type: ignore[attr-defined]
    assert KILLS == len(killed)

"""Engines are run with the settings that make them deterministic, and each GPU by itself."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from determinism import cli
from determinism.settings import Setup, server_settings


@pytest.mark.req("OC-TEST-7002")
def test_the_deterministic_setting_is_one_slot_for_each_replica() -> None:
    (pool,) = server_settings(Setup())["pools"]

    assert [1, 1] == [replica["slots"] for replica in pool["replicas"]]


@pytest.mark.req("OC-TEST-7002")
def test_the_replicas_of_a_gpu_see_that_gpu_alone() -> None:
    (pool,) = server_settings(Setup(gpu=1))["pools"]

    assert [[1], [1]] == [replica["devices"] for replica in pool["replicas"]]


@pytest.mark.req("OC-TEST-7002")
def test_each_gpu_is_a_run_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "gpu_indices", lambda: (0, 1))

    assert [0, 1] == cli.devices(["all"])
    assert [1] == cli.devices(["1"])
    assert [None] == cli.devices([])


@pytest.mark.req("OC-CONFIG-6002")
@pytest.mark.parametrize(
    "setup",
    [
        pytest.param(Setup(engine="mock"), id="mock"),
        pytest.param(Setup(), id="llamacpp"),
        pytest.param(Setup(slots=64), id="shared-slots"),
        pytest.param(Setup(gpu=0), id="gpu"),
        pytest.param(Setup(engine="vllm", engine_urls=("http://127.0.0.1:1", "http://127.0.0.1:2")), id="vllm"),
    ],
)
def test_the_server_takes_the_settings(setup: Setup, tmp_path: Path) -> None:
    """Asked of the server's own reader, in a process of its own."""
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps(server_settings(setup)))
    code = "import sys, pathlib; from reference_server import config_file as c; c.load(pathlib.Path(sys.argv[1]))"

    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)

    assert 0 == done.returncode, done.stderr

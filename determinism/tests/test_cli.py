"""`llama-orch determinism`: usage, exit codes, files, and a Ctrl-C that leaves nothing behind."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from determinism import cli
from determinism.lab import Bench
from determinism.report.json_file import as_json
from determinism.run import Run
from determinism.seeds import cases
from harness import leftovers
from harness.target import Target

CLI = [sys.executable, "-m", "determinism"]


@pytest.mark.req("HME-023")
@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        pytest.param(["--help"], 0, "Examples:", id="help"),
        pytest.param(["--check", "nothing"], 2, "no such check", id="check"),
        pytest.param(["--engine", "nothing"], 2, "no engine", id="engine"),
        pytest.param(["--engine-url", "http://x"], 2, "belong to --url", id="engine-url-alone"),
        pytest.param(["--url", "http://x", "--gpu", "0"], 2, "--gpu is for", id="gpu-of-a-url"),
        pytest.param(["--url", "http://x", "--token-env", "NOT_SET_AT_ALL"], 2, "not set", id="token"),
        pytest.param(["--url", "http://127.0.0.1:9"], 3, "does not answer", id="nobody"),
        pytest.param(["--engine", "vllm", "--slots", "4"], 2, "one slot", id="slots-of-vllm"),
        pytest.param(["--gpu", "99"], 3, "--gpu 99", id="no-such-gpu"),
        pytest.param(["--gpu", "one"], 3, "--gpu one", id="no-gpu-index"),
    ],
)
def test_usage(arguments: list[str], code: int, says: str) -> None:
    result = CliRunner().invoke(cli.app, arguments)

    assert (code, True) == (result.exit_code, says in result.output), result.output


@pytest.mark.req("OC-TEST-7007", "ORCH-3051")
def test_a_stand_in_is_refused_where_a_real_engine_is_required() -> None:
    result = CliRunner().invoke(cli.app, ["--engine", "mock"], env={"REQUIRE_REAL_LLAMA": "1"})

    assert (3, True) == (result.exit_code, "REQUIRE_REAL_LLAMA forbids stand-ins" in result.output), result.output


@pytest.mark.req("HME-023")
def test_an_engine_that_is_not_installed_is_named_and_not_built(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli.app, [], env={"LLAMA_ORCH_CACHE_DIR": str(tmp_path)})

    assert 3 == result.exit_code
    assert "no llamacpp is installed; install it with: llama-orch engines install llamacpp" in result.output
    assert not (tmp_path / "engines").exists()


@pytest.mark.req("HME-023", "OC-TEST-7020")
def test_a_run_writes_its_files_and_its_evidence(tmp_path: Path) -> None:
    files = ["--json", str(tmp_path / "r.json"), "--html", str(tmp_path / "r.html")]
    seed = cases()[5].seed
    arguments = ["--engine", "mock", "--seed", str(seed), "--tokens", "8", "--check", "pinned", *files]

    evidence = tmp_path / "evidence.jsonl"
    result = CliRunner().invoke(cli.app, arguments, env={"LLAMA_ORCH_EVIDENCE": str(evidence)})

    assert 0 == result.exit_code, result.output
    report = json.loads((tmp_path / "r.json").read_text())
    assert (1, {"PASS"}, {seed}) == (
        report["schema_version"],
        {check["outcome"] for check in report["checks"]},
        {stream["seed"] for stream in report["streams"]},
    )
    assert [True] == [row["features"]["stand_in"] for row in report["engines"]]
    assert str(seed) in (tmp_path / "r.html").read_text()
    lines = [json.loads(line) for line in evidence.read_text().splitlines()]
    assert {"determinism/replicas", "determinism/pinned"} == {line["check"] for line in lines}


@pytest.mark.req("OC-TEST-7046", "OC-TEST-7006")
def test_a_process_that_outlives_the_run_fails_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    plain = cli._required_real

    def planted(target: Target) -> list[dict[str, Any]]:
        started.append(subprocess.Popen(["/bin/sleep", "617"], start_new_session=True))
        return plain(target)

    monkeypatch.setattr(leftovers, "LEAVE_S", 1.0)
    monkeypatch.setattr(cli, "_required_real", planted)
    arguments = ["--engine", "mock", "--seeds", "1", "--tokens", "8", "--check", "replicas"]
    result = CliRunner().invoke(cli.app, [*arguments, "--json", str(tmp_path / "r.json")])

    (child,) = started
    assert -signal.SIGKILL == child.wait(timeout=5)
    assert 1 == result.exit_code, result.output
    assert f"left behind, and ended: {child.pid} /bin/sleep 617" in result.output
    report = json.loads((tmp_path / "r.json").read_text())
    assert (1, {"PASS"}) == (report["exit_code"], {check["outcome"] for check in report["checks"]})
    assert [{"pid": child.pid, "command": "/bin/sleep 617"}] == report["left_behind"]


@pytest.mark.req("ORCH-1102")
def test_what_the_server_says_of_its_engines_is_in_the_report(tmp_path: Path) -> None:
    """Also that one decodes on the CPU."""
    row = {"engine": "llamacpp", "features": {"experimental_cpu": True}}
    made = Run(Bench(None, tokens=8, folder=tmp_path), cases(), engines=[row])

    assert [row] == as_json(made, command="")["engines"]


@pytest.mark.req("HME-023")
def test_an_interrupted_run_leaves_no_server_behind() -> None:
    """Interrupted once the first verdict is printed; the server is our child's child, in a group of its own."""
    arguments = ["--engine", "mock", "--seeds", "2", "--tokens", "8"]
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen([*CLI, *arguments], stdout=subprocess.PIPE, text=True, env=env) as run:
        assert run.stdout is not None
        first = run.stdout.readline()
        children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
        run.send_signal(signal.SIGINT)
        output, _ = run.communicate(timeout=60)

    assert re.match(r"PASS +replicas", first), first
    assert (3, True) == (run.returncode, "interrupted" in output), output
    assert children
    assert [] == [pid for pid in children if Path(f"/proc/{pid}").exists()]

"""`llama-orch chaos`: what it answers with, what a run leaves, and that nothing of it survives a Ctrl-C."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chaos import record, server
from chaos.cli import app
from chaos.engines import is_alive
from chaos.tests.sabotage import command
from chaos.tests.story import Story

CHAOS = [sys.executable, "-m", "chaos"]
LEFT = {
    "history.jsonl",
    "server.log",
    "witness.jsonl",
    "report.json",
    "report.html",
    "metrics-first.txt",
    "metrics-last.txt",
}
SHORT = ["--workload", "mixed", "--fault", "vanishing-readers", "--duration", "0.5"]
UP_S = 60.0


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        pytest.param(["--help"], 0, "Examples:", id="help"),
        pytest.param(["replay", "--help"], 0, "Examples:", id="help-of-replay"),
        pytest.param(["list"], 0, "kill-server", id="list"),
        pytest.param(["--fault", "meteor"], 2, "no fault 'meteor'; there are: kill-server", id="no-such-fault"),
        pytest.param(["--workload", "x"], 2, "there are: mixed", id="no-such-workload"),
        pytest.param(["--fault", "kill-engine", "--fault", "cut@engine"], 2, "different engines", id="two-engines"),
        pytest.param(["replay", "/nowhere.jsonl"], 2, "/nowhere.jsonl", id="no-such-file"),
        pytest.param(["--launch", "false"], 3, "could not run", id="server-does-not-start"),
    ],
)
def test_usage(arguments: list[str], code: int, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    result = CliRunner().invoke(app, arguments)

    assert (code, True) == (result.exit_code, says in result.output), result.output


def test_a_server_that_ends_before_its_log_was_copied_could_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_copy", lambda read_end, path: os.close(read_end))

    result = CliRunner().invoke(app, ["--launch", "false"])

    assert (3, True) == (result.exit_code, "could not run" in result.output), result.output


@pytest.mark.req("OC-TEST-7052")
def test_a_recorded_violation_is_judged_again_and_shrunk(tmp_path: Path) -> None:
    story = Story.of().over()
    story.decoded(50, 12_000)
    whole, short = tmp_path / "history.jsonl", tmp_path / "short.jsonl"
    record.write(whole, story.records)

    results = [CliRunner().invoke(app, ["replay", str(whole), "--json", "--shrink", str(short)])]
    results.append(CliRunner().invoke(app, ["replay", str(short)]))

    assert [1, 1] == [result.exit_code for result in results]
    assert all("runs_once" in result.output for result in results)
    assert 4 == len(record.read(short))


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.req("OC-TEST-7053")
def test_a_run_leaves_its_evidence_and_the_command_that_repeats_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [*CHAOS, "--seed", "5", *SHORT, "--out", str(tmp_path), "--json"], check=False, capture_output=True
    )

    report = json.loads(done.stdout)
    assert (0, "pass") == (done.returncode, report["outcome"]), done.stderr.decode()
    assert {path.name for path in tmp_path.iterdir()} >= LEFT
    expected = "llama-orch chaos --seed 5 --fault vanishing-readers --workload mixed --duration 0.5"
    assert expected == report["repeat"]
    page = (tmp_path / "report.html").read_text()
    assert ("<svg" in page, "http://" in page.replace("http://www.w3.org/2000/svg", "")) == (True, False)
    assert "LLORCH" not in (tmp_path / "history.jsonl").read_text()


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.req("OC-TEST-7046", "OC-TEST-7006")
def test_a_server_that_leaves_a_child_behind_fails_the_run(tmp_path: Path) -> None:
    server = f"{sys.executable} -m reference_server serve --config {{config}} --state-dir {{state}} --port 0"
    launch = shlex.join(["sh", "-c", f"setsid sleep 617 >/dev/null 2>&1 & exec {server}"])
    arguments = ["--seed", "5", *SHORT, "--launch", launch, "--out", str(tmp_path), "--json"]
    done = subprocess.run([*CHAOS, *arguments], check=False, capture_output=True, text=True)

    report = json.loads(done.stdout)
    assert (1, "pass") == (done.returncode, report["outcome"]), done.stderr
    (left,) = json.loads((tmp_path / "report.json").read_text())["left_behind"]
    assert "sleep 617" == left["command"]
    assert f"left behind, and ended: {left['pid']} sleep 617" in done.stderr
    assert not is_alive(left["pid"])


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.req("OC-TEST-7052", "OC-TEST-7006")
def test_a_failing_run_leaves_a_short_history_that_fails_again(tmp_path: Path) -> None:
    launch = shlex.join(command("writes-no-start-down"))
    arguments = ["--seed", "5", "--workload", "steady", "--engine", "attached", "--fault", "kill-server"]
    run = [*CHAOS, *arguments, "--blows", "8", "--launch", launch, "--out", str(tmp_path), "--json"]
    done = subprocess.run(run, check=False, capture_output=True, text=True)

    assert (1, "fail") == (done.returncode, json.loads(done.stdout)["outcome"]), done.stderr
    short = tmp_path / "shrunk-runs-once.jsonl"
    again = CliRunner().invoke(app, ["replay", str(short)])
    assert (1, True) == (again.exit_code, "runs_once" in again.output), again.output
    assert len(record.read(short)) < len(record.read(tmp_path / "history.jsonl")) / 10


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminated"])
def test_an_interrupted_run_leaves_nothing_running(tmp_path: Path, number: signal.Signals) -> None:
    run = subprocess.Popen(
        [*CHAOS, "--duration", "60", "--out", str(tmp_path)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert run.stdout is not None
    while "faults" not in run.stdout.readline():
        assert run.poll() is None
    whole = (tmp_path / "history.jsonl").read_text().rpartition("\n")[0]  # without the line that is being written
    records = [json.loads(line) for line in whole.splitlines()]
    pids = [r["pid"] for r in records if r["kind"] == "life"]
    os.kill(run.pid, number)

    assert 3 == run.wait(timeout=UP_S)
    until = time.monotonic() + UP_S
    while any(map(is_alive, pids)) and time.monotonic() < until:
        time.sleep(0.05)
    assert [] == [pid for pid in pids if is_alive(pid)]
    run.stdout.close()


ONCE = f"""
import time
from pathlib import Path
from reference_server.__main__ import app
first = Path(__file__).with_name("first")
if first.exists():
    Path(__file__).with_name("second").touch()
    time.sleep({2 * UP_S})
first.touch()
app(prog_name="once")
"""
"""A server that comes up once."""


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_run_is_interrupted_while_its_clients_wait_for_a_server_that_is_down(tmp_path: Path) -> None:
    script = tmp_path / "once.py"
    script.write_text(ONCE, encoding="utf-8")
    line = ("serve", "--port", "0", "--config", "{config}", "--state-dir", "{state}")
    launch = shlex.join([sys.executable, str(script), *line])
    arguments = ["--fault", "kill-server", "--blows", "1", "--launch", launch, "--out", str(tmp_path / "run")]
    run = subprocess.Popen([*CHAOS, *arguments], start_new_session=True)
    until = time.monotonic() + UP_S
    while not tmp_path.joinpath("second").exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert tmp_path.joinpath("second").exists()
    run.send_signal(signal.SIGINT)

    assert 3 == run.wait(timeout=UP_S / 2)

"""The command line: what it starts, what it answers with, and that nothing of it survives a Ctrl-C."""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness import cli
from harness.conform import EXIT_OF_PYTEST, Selection, command
from harness.history import now_ms

CLI = [sys.executable, "-c", "from harness.cli import main; main()"]


@pytest.mark.req("HME-023")
@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        pytest.param(["--help"], 0, "Examples:", id="help"),
        pytest.param(["conform", "--help"], 0, "llama-orch conform --req", id="help-of-a-verb"),
        pytest.param(["conform", "--url", "http://x", "--launch", "y"], 2, "not both", id="two-servers"),
        pytest.param(["conform", "--token-env", "X"], 2, "belong to --url", id="token-without-url"),
        pytest.param(["conform", "--profile", "gold"], 2, "no such profile", id="no-such-profile"),
        pytest.param(["conform", "--gaps", "nowhere.yaml"], 2, "nowhere.yaml", id="no-gaps"),
        pytest.param(["explain", "ORCH-3026"], 0, "cancel/no-token-comes-after", id="explain-requirement"),
        pytest.param(["explain", "cancel/a-second-cancel-changes-nothing"], 0, "ORCH-2003", id="explain-check"),
        pytest.param(["explain", "ADMISSION_REJECT"], 0, "429", id="explain-code"),
        pytest.param(["explain", "nothing"], 2, "no requirement, check or error code", id="explain-nothing"),
        pytest.param(["coverage", "nowhere"], 3, "nowhere", id="no-evidence"),
        pytest.param(["reports", "nowhere"], 3, "no report below", id="no-reports"),
        pytest.param(["nothing"], 2, "nothing", id="no-such-verb"),
    ],
)
def test_usage(arguments: list[str], code: int, says: str) -> None:
    result = CliRunner().invoke(cli.app, arguments)

    assert (code, True) == (result.exit_code, says in result.output), result.output


@pytest.mark.parametrize("verb", ["serve", "engines"])
@pytest.mark.parametrize("arguments", [["--help"], ["--port", "0", "x"], []], ids=["help", "options", "nothing"])
def test_the_servers_own_verbs_are_passed_on(monkeypatch: pytest.MonkeyPatch, verb: str, arguments: list[str]) -> None:
    became: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda path, argv: became.append([path, *argv]))

    CliRunner().invoke(cli.app, [verb, *arguments])

    assert [[sys.executable, sys.executable, "-m", "reference_server", verb, *arguments]] == became


def test_a_selection_is_pytests_options(tmp_path: Path) -> None:
    selection = Selection(
        url="http://x",
        token_env="T",
        requirements=("A", "B"),
        keyword="k",
        junit=tmp_path / "j.xml",
        engine_url="http://e",
        profiles=("core",),
        checks=("c/*",),
    )

    given = command(selection)[command(selection).index("--server-url") :]

    expected = (
        f"--server-url http://x --token-env T --engine-url http://e -k k --junit-xml {tmp_path}/j.xml --req A --req B "
        "--profile core --check 'c/*' --no-disturb"
    )
    assert shlex.split(expected) == given


def test_every_exit_code_of_pytest_has_ours() -> None:
    assert {int(code) for code in pytest.ExitCode} == EXIT_OF_PYTEST.keys()


@pytest.mark.req("HME-023", "OC-TEST-7004")
@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        pytest.param(["-k", "nothing_is_called_this"], 2, "no scenario matches", id="nothing-selected"),
        pytest.param(["--req", "ORCH-9999"], 2, "ORCH-9999", id="unknown-id"),
        pytest.param(
            ["--url", "http://127.0.0.1:9", "-k", "test_a_second_cancel"], 3, "does not answer", id="no-server"
        ),
        pytest.param(
            ["--launch", f"{sys.executable} -c raise(SystemExit('no-model'))", "-k", "test_a_second_cancel"],
            3,
            "no-model",
            id="server-does-not-start",
        ),
    ],
)
def test_a_run_that_cannot_be_has_its_exit_code_and_says_why(arguments: list[str], code: int, says: str) -> None:
    done = subprocess.run([*CLI, "conform", *arguments], capture_output=True, text=True, check=False)

    assert (code, True) == (done.returncode, says in done.stdout), done.stdout + done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminated"])
def test_an_interrupted_run_leaves_no_server_behind(tmp_path: Path, number: signal.Signals) -> None:
    """Interrupted once the server is up: it has written its process id by then."""
    pid_file = tmp_path / "pid"
    server = f"{sys.executable} -m reference_server serve --ephemeral --port 0"
    script = f"echo $$ >> {pid_file}; exec {server}"
    arguments = ["conform", "--launch", shlex.join(["sh", "-c", script]), "-k", "a_body_that_is_not"]
    with subprocess.Popen([*CLI, *arguments], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        first = run.stdout.readline()
        run.send_signal(number)
        output, _ = run.communicate(timeout=60)
    pids = [int(line) for line in pid_file.read_text().splitlines()]

    assert "judging http://" in first
    assert (3, True) == (run.returncode, "stopped: interrupted" in output), output
    assert [] == [pid for pid in pids if is_running(pid)]


def is_running(pid: int) -> bool:
    """A process that has ended and that nobody has asked for yet is a zombie, and runs no more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # between being found and being read, too
        return False


def test_starting_the_command_line_is_quick() -> None:
    """`--help` imports neither pytest nor the HTTP client: 100 ms feel instant, a second does not."""
    code = "import sys, harness.cli; sys.exit(bool({'pytest', 'httpx', 'jsonschema_rs', 'aiohttp'} & set(sys.modules)))"
    began_ms = now_ms()

    assert 0 == subprocess.run([sys.executable, "-c", code], check=False).returncode
    assert now_ms() - began_ms < 5_000

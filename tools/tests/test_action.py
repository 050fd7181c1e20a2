"""The composite action and the workflow: valid for zizmor, and their shell steps do what they say on a local server."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml

from harness.engines.llamacpp import LlamaCppFormat
from harness.engines.stand_in import stand_in
from harness.target import REFERENCE_SERVER, Servers, Target
from harness.tests.tiny_server import TinyServer, answer
from tools import steps

ROOT = Path(__file__).resolve().parents[2]
ACTION, WORKFLOW = Path(".github/actions/llama-orch/action.yml"), Path(".github/workflows/ci.yml")
EXPRESSION = re.compile(r"\$\{\{ inputs\.([a-z-]+) \}\}")
CONDITION = re.compile(r"inputs\.check (==|!=) '([a-z-]+)'")
BASH = ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c")  # as a runner starts it
RUN_S = 300


def runs(step: dict[str, Any], check: str) -> bool:
    """Whether the step's `if` lets it run."""
    asked = CONDITION.findall(step.get("if", ""))
    return all((check == value) == (operator == "==") for operator, value in asked)


def act(runner: Path, *, skip: str = "Install llama-orch", **given: str) -> subprocess.CompletedProcess[str]:
    """Run the shell steps of the action as a runner would, the installation left out; the last one's result."""
    action = yaml.safe_load((ROOT / ACTION).read_text())
    inputs = {name: str(spec.get("default", "")) for name, spec in action["inputs"].items()}
    inputs |= {name.replace("_", "-"): value for name, value in given.items()}
    for step in action["runs"]["steps"]:
        if "run" not in step or step.get("name") == skip or not runs(step, inputs["check"]):
            continue
        assert "${{" not in step["run"], "an expression in a script is an injection"
        env = {name: EXPRESSION.sub(lambda m: inputs[m[1]], text) for name, text in step.get("env", {}).items()}
        done = subprocess.run(
            [*BASH, step["run"]],
            env={**os.environ, **runner_env(runner), **env},
            cwd=runner,
            capture_output=True,
            text=True,
            check=False,
            timeout=RUN_S,
        )
        if done.returncode:
            break
    return done


def runner_env(runner: Path) -> dict[str, str]:
    """What a runner sets."""
    action_path = str(ROOT / ACTION.parent)
    return {"RUNNER_TEMP": str(runner), "GITHUB_OUTPUT": str(runner / "output"), "GITHUB_ACTION_PATH": action_path}


@pytest.fixture
def runner(tmp_path: Path) -> Path:
    """A runner whose llama-orch is this environment's."""
    (tmp_path / "llama-orch").symlink_to(Path(sys.executable).parent.parent)
    return tmp_path


@contextmanager
def server(folder: Path) -> Iterator[Target]:
    servers = Servers(REFERENCE_SERVER, folder=folder / "servers")
    try:
        yield servers.start({})
    finally:
        servers.stop()


def cases(runner: Path) -> ET.Element:
    """The JUnit file that the action names as its output."""
    (junit,) = re.findall(r"^junit=(.*)$", (runner / "output").read_text(), re.MULTILINE)
    return ET.parse(junit).getroot()  # noqa: S314 - our own file


@pytest.mark.slow
@pytest.mark.req("OC-TEST-7041")
def test_conform_passes_the_reference_server(runner: Path) -> None:
    with server(runner) as target:
        done = act(runner, check="conform", url=target.url, token=target.token or "")

    assert 0 == done.returncode, done.stdout + done.stderr
    assert "judging http://" in done.stdout
    assert cases(runner).findall(".//testcase")


@pytest.mark.req("OC-TEST-7041")
def test_metrics_lint_passes_the_reference_server_and_keeps_its_token(runner: Path) -> None:
    with server(runner) as target:
        done = act(runner, check="metrics-lint", url=target.url, token=target.token or "", watch_seconds="0")

    assert (0, "") == (done.returncode, done.stdout), done.stdout + done.stderr
    assert (target.token or "none") not in done.stdout + done.stderr
    assert [] == cases(runner).findall(".//failure")


@pytest.mark.req("OC-TEST-7041", "OC-TEST-7006")
def test_metrics_lint_fails_a_server_without_the_series_and_annotates(runner: Path) -> None:
    def script(sock: Any, head: bytes) -> None:
        sock.sendall(answer("200 OK", b"own 1\n"))

    with TinyServer(script) as broken:
        done = act(runner, check="metrics-lint", url=broken.url, watch_seconds="0")

    assert (1, True) == (done.returncode, done.stdout.startswith("::error file=http")), done.stdout + done.stderr
    assert cases(runner).findall(".//failure")


@pytest.mark.req("OC-TEST-7041")
def test_pact_verify_passes_the_stand_in_of_llama_server(runner: Path) -> None:
    with stand_in(LlamaCppFormat()) as engine:
        done = act(runner, check="pact-verify", url=engine.url, engine="llamacpp")

    assert 0 == done.returncode, done.stdout + done.stderr
    assert cases(runner).findall(".//testcase")


@pytest.mark.req("OC-TEST-7041", "OC-TEST-7006")
@pytest.mark.parametrize(
    ("check", "code"),
    [
        pytest.param("conform", 3, id="no-server"),
        pytest.param("pact-verify", 3, id="no-engine"),
        pytest.param("metrics-lint", 3, id="no-metrics"),
        pytest.param("confrom", 2, id="no-such-check"),
    ],
)
def test_what_cannot_run_fails_its_step(runner: Path, check: str, code: int) -> None:
    assert code == act(runner, check=check, url="http://127.0.0.1:9").returncode


@pytest.mark.req("OC-TEST-7041", "OC-TEST-7006")
def test_an_input_is_no_shell_text(runner: Path) -> None:
    act(runner, check="metrics-lint", url="$(touch planted)`touch planted`; touch planted", watch_seconds="0")

    assert not (runner / "planted").exists()


@pytest.mark.slow
@pytest.mark.timeout(RUN_S)
@pytest.mark.req("OC-TEST-7041")
def test_the_installation_gives_a_working_command(tmp_path: Path) -> None:
    """On a copy: building in place would leave files behind."""
    copy = tmp_path / "checkout"
    listing = ["git", "ls-files", "-co", "--exclude-standard"]
    listed = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True)
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    (step,) = (
        s for s in yaml.safe_load((copy / ACTION).read_text())["runs"]["steps"] if "pip install" in s.get("run", "")
    )
    env = {**os.environ, **runner_env(tmp_path), "GITHUB_ACTION_PATH": str(copy / ACTION.parent)}
    env["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

    subprocess.run([*BASH, step["run"]], env=env, check=True, timeout=RUN_S)
    done = subprocess.run(
        [tmp_path / "llama-orch/bin/llama-orch", "metrics", "--help"], check=True, capture_output=True, text=True
    )

    assert "lint" in done.stdout


# ── the files ──


@pytest.mark.req("OC-TEST-7041", "OC-TEST-7006")
@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        pytest.param(ACTION, '--url "$URL" --profile', '--url "${{ inputs.url }}" --profile', id="injection"),
        pytest.param(ACTION, "@0b93645e9fea7318ecaed2b359559ac225c90a2b", "@v5", id="unpinned"),
        pytest.param(ACTION, "using: composite", "using: [composite]", id="schema-of-the-action"),
        pytest.param(WORKFLOW, "permissions: {}\n", "permissions: write-all\n", id="permissions"),
        pytest.param(WORKFLOW, "runs-on: ubuntu-24.04", "run-on: ubuntu-24.04", id="schema-of-the-workflow"),
        pytest.param(WORKFLOW, "  pull_request:\n", "  pull_request_target:\n", id="trigger"),
    ],
)
def test_a_harmed_file_is_found(tmp_path: Path, path: Path, old: str, new: str) -> None:
    shutil.copytree(ROOT / ".github", tmp_path / ".github")
    assert old in (tmp_path / path).read_text()
    assert steps.LINT["actions"](tmp_path).passed

    (tmp_path / path).write_text((tmp_path / path).read_text().replace(old, new))

    assert not steps.LINT["actions"](tmp_path).passed

"""`llama-orch haiku`: usage, and stand-ins that are refused by what they say of themselves."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness import cli, leftovers
from harness.engines.direct import Counters
from harness.engines.llamacpp import LlamaCppFormat
from harness.engines.script import Script
from harness.engines.stand_in import stand_in
from harness.haiku import run
from harness.haiku.facts import Facts
from harness.haiku.proof import CHECKS
from harness.haiku.tests.test_proof import HONEST
from harness.outcome import Outcome
from harness.registry.evidence import EVIDENCE_ENV, Evidence, read
from harness.stand_in import REQUIRE_ENV
from harness.target import REFERENCE_SERVER, Servers, pool_settings

CLI = [sys.executable, "-c", "from harness.cli import main; main()", "haiku"]


@pytest.mark.req("HME-023")
@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        pytest.param(["--help"], 0, "Examples:", id="help"),
        pytest.param(["--url", "http://x"], 2, "go together", id="no-engine"),
        pytest.param(["--engine-url", "http://x"], 2, "go together", id="no-server"),
        pytest.param(["--token-env", "NOT_SET_AT_ALL"], 2, "belongs to --url", id="token-without-url"),
        pytest.param(
            ["--url", "http://x", "--engine-url", "http://y", "--engine", "tgi"], 2, "cannot be asked", id="engine"
        ),
        pytest.param(
            ["--url", "http://127.0.0.1:9", "--engine-url", "http://127.0.0.1:9"], 3, "does not answer", id="nobody"
        ),
    ],
)
def test_usage(arguments: list[str], code: int, says: str) -> None:
    result = CliRunner().invoke(cli.app, ["haiku", *arguments])

    assert (code, True) == (result.exit_code, says in result.output), result.output


@pytest.mark.req("OC-TEST-7046", "OC-TEST-7006")
def test_a_process_that_outlives_the_run_fails_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def planted(*_: object, **__: object) -> Facts:
        started.append(subprocess.Popen(["/bin/sleep", "617"], start_new_session=True))
        return HONEST

    monkeypatch.delenv(REQUIRE_ENV, raising=False)
    monkeypatch.setattr(leftovers, "LEAVE_S", 0.1)
    monkeypatch.setattr(run, "observe", planted)
    arguments = ["--url", "http://x", "--engine-url", "http://y", "--json", str(tmp_path / "r.json")]
    result = CliRunner().invoke(cli.app, ["haiku", *arguments])

    (child,) = started
    assert -signal.SIGKILL == child.wait(timeout=5)
    assert 1 == result.exit_code, result.output
    assert f"left behind, and ended: {child.pid} /bin/sleep 617" in result.output
    report = json.loads((tmp_path / "r.json").read_text())
    assert {"PASS"} == {check["outcome"] for check in report["checks"]}
    assert (1, [{"pid": child.pid, "command": "/bin/sleep 617"}]) == (report["exit_code"], report["left_behind"])


def evidence_of(facts: Facts, path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Evidence]:
    """What the command leaves when this is what it has seen."""
    monkeypatch.delenv(REQUIRE_ENV, raising=False)
    monkeypatch.setattr(run, "observe", lambda *_, **__: facts)
    arguments = ["haiku", "--url", "http://x", "--engine-url", "http://y"]
    CliRunner().invoke(cli.app, arguments, env={EVIDENCE_ENV: str(path)}, catch_exceptions=False)
    return list(read(path))


@pytest.mark.req("OC-TEST-7048", "OC-TEST-7006")
def test_every_verdict_is_evidence_and_a_failure_says_how_to_repeat_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine has counted one token less than was streamed."""
    honest = evidence_of(HONEST, tmp_path / "honest", monkeypatch)
    cheat = evidence_of(replace(HONEST, engine_moved=Counters(60, 143)), tmp_path / "cheat", monkeypatch)

    named = [(f"haiku/{check}", identifier) for check, (_, proves) in CHECKS.items() for identifier in proves]
    assert named == [(line.check, line.requirement) for line in honest]
    assert named == [(line.check, line.requirement) for line in cheat]
    assert {Outcome.PASS} == {line.verdict for line in honest}
    failed = [line for line in cheat if line.verdict is not Outcome.PASS]
    assert {("haiku/engine-counted", Outcome.FAIL)} == {(line.check, line.verdict) for line in failed}
    repeat = "; repeat: llama-orch haiku --url http://x --engine-url http://y --engine llamacpp"
    assert all(line.evidence.endswith(repeat) for line in failed)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[list[str], dict[str, str]]]:
    """A server on a stand-in engine that claims to be llama-server, and the options that name both."""
    servers = Servers(REFERENCE_SERVER, folder=tmp_path_factory.mktemp("haiku"))
    try:
        with stand_in(LlamaCppFormat(), Script(version="b11434-abc")) as engine:
            target = servers.start(pool_settings({}, {"kind": "external", "url": engine.url}))
            options = ["--url", target.url, "--engine-url", engine.url, "--token-env", "HAIKU_TOKEN"]
            yield options, {"HAIKU_TOKEN": target.token or ""}
            servers.stop()
    finally:
        servers.stop()


@pytest.mark.req("ORCH-3051", "OC-TEST-7066", "OC-TEST-7006")
def test_a_stand_in_that_lies_about_its_version_has_no_counters_or_log_probabilities(
    pair: tuple[list[str], dict[str, str]],
) -> None:
    options, env = pair

    result = CliRunner().invoke(cli.app, ["haiku", *options], env=env)

    assert (3, True) == (result.exit_code, "the engine cannot be asked" in result.output), result.output


@pytest.mark.req("OC-TEST-7007", "ORCH-3051")
def test_a_stand_in_is_refused_where_a_real_engine_is_required(tmp_path: Path) -> None:
    servers = Servers(REFERENCE_SERVER, folder=tmp_path)
    try:
        target = servers.default()
        options = ["--url", target.url, "--engine-url", target.url, "--token-env", "HAIKU_TOKEN"]
        env = {"HAIKU_TOKEN": target.token or "", "REQUIRE_REAL_LLAMA": "1"}
        result = CliRunner().invoke(cli.app, ["haiku", *options], env=env)
    finally:
        servers.stop()

    assert (3, True) == (result.exit_code, "REQUIRE_REAL_LLAMA forbids stand-ins" in result.output), result.output


@pytest.mark.req("OC-TEST-7007", "ORCH-3051", "OC-TEST-7006")
def test_a_stand_in_behind_a_server_that_claims_a_real_engine_is_refused_by_its_own_word(
    pair: tuple[list[str], dict[str, str]],
) -> None:
    options, env = pair
    with stand_in(LlamaCppFormat(), Script(version="mock-1.0")) as engine:
        url = engine.url
        arguments = ["haiku", *options, "--engine-url", url]
        refused = CliRunner().invoke(cli.app, arguments, env={**env, "REQUIRE_REAL_LLAMA": "1"})
        allowed = CliRunner().invoke(cli.app, arguments, env={**env, "REQUIRE_REAL_LLAMA": "0"})

    said = f"REQUIRE_REAL_LLAMA forbids stand-ins, and {url} is one: it calls itself mock-1.0"
    assert (3, True) == (refused.exit_code, said in refused.output), refused.output
    assert "forbids stand-ins" not in allowed.output


@pytest.mark.real_engine
@pytest.mark.timeout(300)
@pytest.mark.req("ORCH-3051", "OC-TEST-7064", "HME-023")
def test_the_whole_command_passes_on_the_real_engine_and_says_so_in_json(tmp_path: Path) -> None:
    path = tmp_path / "haiku.json"

    done = subprocess.run([*CLI, "--json", str(path)], capture_output=True, text=True, check=False)

    assert 0 == done.returncode, done.stdout + done.stderr
    result = json.loads(path.read_text())
    assert (1, 0, {"PASS"}) == (
        result["schema_version"],
        result["exit_code"],
        {check["outcome"] for check in result["checks"]},
    )

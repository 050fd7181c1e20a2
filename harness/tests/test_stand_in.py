"""What counts as a stand-in, and that a run on a real engine refuses one before any scenario."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from harness.conform import ALONE, Selection, command
from harness.stand_in import REQUIRE_ENGINE_ENV, REQUIRE_ENV, is_real_required, why_not_required, why_stand_in
from harness.tests.tiny_server import TinyServer, answer

REAL = {"engine": "llamacpp", "engine_version": "b11434", "features": {"stand_in": False}}


@pytest.mark.req("OC-ADAPT-5011", "ORCH-3058")
@pytest.mark.parametrize(
    "engines",
    [
        pytest.param([REAL], id="real"),
        pytest.param([{**REAL, "features": {}}], id="says-nothing-of-stand-ins"),
        pytest.param([REAL, {**REAL, "engine": "vllm"}], id="two-real"),
    ],
)
def test_real_engines_are_taken(engines: list[dict[str, Any]]) -> None:
    assert why_stand_in({"engines": engines}) is None


@pytest.mark.req("ORCH-3051", "OC-TEST-7006")
@pytest.mark.parametrize(
    ("capabilities", "why"),
    [
        pytest.param({"engines": [{**REAL, "engine_version": "mock-1.0"}]}, "mock-1.0 is a mock", id="version"),
        pytest.param({"engines": [{**REAL, "features": {"stand_in": True}}]}, "says that it is", id="feature"),
        pytest.param({"engines": [REAL, {**REAL, "engine_version": "mock-2"}]}, "mock-2 is a mock", id="one-of-two"),
        pytest.param({"engines": [{**REAL, "engine_version": ""}]}, "no engine_version", id="no-version"),
        pytest.param({"engines": []}, "no engine", id="none"),
        pytest.param({}, "no engine", id="no-capabilities"),
        pytest.param(["x"], "no engine", id="no-object"),
    ],
)
def test_stand_ins_are_told(capabilities: object, why: str) -> None:
    assert why in (why_stand_in(capabilities) or "")


@pytest.mark.parametrize(("value", "expected"), [("1", True), ("yes", True), ("0", False), ("", False)])
def test_the_environment_decides(monkeypatch: pytest.MonkeyPatch, value: str, expected: bool) -> None:
    monkeypatch.delenv(REQUIRE_ENGINE_ENV, raising=False)
    monkeypatch.setenv(REQUIRE_ENV, value)

    assert expected == is_real_required()


@pytest.mark.req("OC-TEST-7010", "OC-TEST-7006")
@pytest.mark.parametrize(
    ("wanted", "served", "why"),
    [
        pytest.param("vllm", REAL, "wants vllm, and this serves llamacpp", id="another-engine"),
        pytest.param("llamacpp", {**REAL, "engine_version": "mock-1.0"}, "forbids stand-ins", id="a-stand-in"),
        pytest.param("llamacpp", REAL, None, id="the-engine"),
        pytest.param("", {**REAL, "engine_version": "mock-1.0"}, None, id="none-is-wanted"),
    ],
)
def test_a_run_on_one_engine_takes_no_other(
    monkeypatch: pytest.MonkeyPatch, wanted: str, served: dict[str, Any], why: str | None
) -> None:
    monkeypatch.delenv(REQUIRE_ENV, raising=False)
    monkeypatch.setenv(REQUIRE_ENGINE_ENV, wanted)

    found = why_not_required({"engines": [served]})

    assert (why is None) == (found is None)
    assert (why or "") in (found or "")


@pytest.mark.req("ORCH-3051", "OC-TEST-7007")
def test_a_run_that_requires_a_real_engine_refuses_a_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clear message and exit code 3; not one request of a scenario is sent."""
    monkeypatch.setenv(REQUIRE_ENV, "1")
    body = json.dumps({"api_version": "1.0.0", "engines": [{**REAL, "engine_version": "mock-1.0"}]}).encode()
    with TinyServer(lambda sock, head: sock.sendall(answer("200 OK", body))) as server:
        done = subprocess.run(
            command(Selection(url=server.url, keyword="the_same_seed_gives")),
            capture_output=True,
            text=True,
            env={**os.environ, **ALONE},
            check=False,
        )
        asked = [head.split(b"\r\n")[0] for head in server.requests]

    assert 3 == done.returncode
    assert f"{REQUIRE_ENV} forbids stand-ins" in done.stdout + done.stderr
    assert "mock-1.0 is a mock" in done.stdout + done.stderr
    assert [b"GET /v1/capabilities HTTP/1.1"] == asked


def test_this_interpreter_runs_the_features() -> None:
    assert sys.executable == command(Selection())[0]

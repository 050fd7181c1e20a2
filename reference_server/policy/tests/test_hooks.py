"""Plugins at work in a server process: what clients and operators see of them."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from reference_server.policy.plugin import Bounds
from reference_server.policy.sandbox import Plugin
from reference_server.policy.tests.test_sandbox import BABBLES, EATS, LOOP, module
from reference_server.tests.test_serve import call, refused, server, task

EXAMPLES = Path(__file__).parent.parent / "sdk" / "examples"
LONG = 20_000  # tokens that take 100 s


@contextmanager
def with_plugin(
    folder: Path, wasm: bytes | Path, *hooks: str, replicas: int = 1, **bounds: int
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server that asks this plugin, and is patient with it: a busy machine may hold it up."""
    file = wasm if isinstance(wasm, Path) else folder / "p.wasm"
    if isinstance(wasm, bytes):
        file.write_bytes(wasm)
    plugin = {"id": "watch", "file": str(file), "hooks": list(hooks), "wall_ms": 30_000, **bounds}
    config = folder / "c.yaml"
    mocks = [{"kind": "mock", "slots": 2, "token_ms": 5, "ctx_max": LONG}] * replicas
    config.write_text(json.dumps({"plugins": [plugin], "pools": [{"replicas": mocks}]}))
    with server("--config", str(config)) as running:
        yield running


def refusal(url: str, body: dict[str, object]) -> tuple[int, dict[str, Any]]:
    with pytest.raises(HTTPError) as answer:
        call(f"{url}/v1/tasks", body)
    return answer.value.code, json.loads(answer.value.read())


def decisions(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """What was logged of plugins, once the server is gone."""
    process.terminate()
    assert process.stderr is not None
    lines = [json.loads(line) for line in process.stderr]
    return [line for line in lines if line["event"] == "policy decision"]


@pytest.mark.req("ORCH-3048", "OC-POLICY-4012", "OC-POLICY-4020")
def test_a_refusal_is_forbidden_logged_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with with_plugin(tmp_path, EXAMPLES / "token_cap.wasm", "admission") as (process, url):
        denied, accepted = task(priority="batch", max_tokens=513), task(priority="batch", max_tokens=8)
        status, envelope = refusal(url, denied)
        with pytest.raises(HTTPError, match="404"):
            call(f"{url}/v1/tasks/{denied['task_id']}")
        first = call(f"{url}/v1/tasks", accepted)
        assert first == call(f"{url}/v1/tasks", accepted)  # a repeat is not judged again
        counted = call(f"{url}/metrics").decode()
        logged = decisions(process)

    assert (403, "FORBIDDEN", "watch", False) == (
        status,
        envelope["code"],
        envelope["policy_label"],
        envelope["retriable"],
    )
    assert "batch tasks may ask for 512 tokens" in envelope["message"]
    assert 'tasks_rejected_total{engine="llamacpp",reason="FORBIDDEN"} 1.0' in counted
    assert ["deny", "allow"] == [line["decision"] for line in logged]
    for line in logged:
        assert ("watch", "token-cap", "1.0.0") == (line["plugin_id"], line["plugin_name"], line["plugin_version"])
        assert line["latency_us"] > 0
        assert line["correlation_id"]


@pytest.mark.req("OC-POLICY-4011", "OC-POLICY-4012")
@pytest.mark.parametrize(
    ("wasm", "says"),
    [
        pytest.param(module(decide=LOOP), "out of fuel", id="loops"),
        pytest.param(module(decide="unreachable"), "trapped", id="traps"),
        pytest.param(module(decide=BABBLES), "answer is not the ABI's", id="babbles"),
        pytest.param(
            module(decide=EATS),
            "memory out of bounds",
            id="eats-memory",
        ),
    ],
)
def test_a_plugin_that_fails_costs_its_requests_and_nothing_else(tmp_path: Path, wasm: bytes, says: str) -> None:
    with with_plugin(tmp_path, wasm, "admission") as (process, url):
        for _ in range(2):
            status, envelope = refusal(url, task())
            assert (500, "INTERNAL", "watch") == (status, envelope["code"], envelope["policy_label"])
            assert says in envelope["message"]
        assert json.loads(call(f"{url}/v1/capabilities"))["engines"]
        logged = decisions(process)

    assert ["failed", "failed"] == [line["decision"] for line in logged]
    assert all(says in line["last_error"] for line in logged)


@pytest.mark.req("OC-POLICY-4013")
def test_a_hint_is_followed_where_it_leads_to_a_free_replica(tmp_path: Path) -> None:
    answer = '{"decision":"hint","replica_id":"default-1"}'
    escaped = answer.replace('"', '\\"')
    to_one = module(decide=f"(i64.const {(2048 << 32) | len(answer)})", extra=f'(data (i32.const 2048) "{escaped}")')
    with with_plugin(tmp_path, to_one, "placement", replicas=2) as (_, url):
        replicas = [_replica_that_runs(url, task(ctx=LONG, max_tokens=LONG - 8)) for _ in range(3)]

    assert ["default-1", "default-1", "default-0"] == replicas  # it has two slots


@pytest.mark.req("OC-POLICY-4013", "OC-POLICY-4011")
@pytest.mark.parametrize(
    "decide",
    [LOOP, "unreachable", EATS, BABBLES],
    ids=["loops", "traps", "eats-memory", "babbles"],
)
def test_a_plugin_that_fails_at_placement_hints_nothing(tmp_path: Path, decide: str) -> None:
    with with_plugin(tmp_path, module(decide=decide), "placement", replicas=2) as (_, url):
        assert "default-0" == _replica_of(url, task())


def _replica_that_runs(url: str, body: dict[str, object]) -> str:
    call(f"{url}/v1/tasks", body)
    shown = {row["task_id"]: row["replica_id"] for row in json.loads(call(f"{url}/v1/status"))["tasks"]}
    return str(shown[str(body["task_id"])])


def _replica_of(url: str, body: dict[str, object]) -> str:
    call(f"{url}/v1/tasks", body)
    frames = call(f"{url}/v1/tasks/{body['task_id']}/stream").decode()
    return str(json.loads(frames.partition("data: ")[2].partition("\n")[0])["replica_id"])


@pytest.mark.req("OC-POLICY-4001")
@pytest.mark.parametrize(
    ("wasm", "says"),
    [(module(abi=2 << 16), "built for ABI 2.0"), (b"#!/bin/sh", "not a WebAssembly module")],
    ids=["another-abi", "no-module"],
)
def test_a_server_with_a_plugin_that_it_cannot_load_does_not_serve(tmp_path: Path, wasm: bytes, says: str) -> None:
    (tmp_path / "p.wasm").write_bytes(wasm)
    config = tmp_path / "c.yaml"
    plugin = {"id": "watch", "file": str(tmp_path / "p.wasm"), "hooks": ["admission"]}
    config.write_text(json.dumps({"plugins": [plugin]}))
    done = refused("--config", str(config))

    assert 3 == done.returncode
    assert "policy plugin watch" in done.stderr
    assert says in done.stderr


@pytest.mark.req("OC-POLICY-4002")
def test_the_same_document_gives_the_same_decision() -> None:
    plugin = Plugin((EXAMPLES / "token_cap.wasm").read_bytes(), Bounds(wall_ms=30_000))
    document = json.dumps({"hook": "admission", "task": {"priority": "batch", "max_tokens": 900}, "pool": {}}).encode()

    assert 1 == len({plugin.decide(document) for _ in range(20)})

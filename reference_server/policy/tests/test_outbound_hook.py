"""Plugins at the outbound hook: real modules, asked by a real gateway, and by a server that fetches a model."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import structlog

from reference_server.policy.clients import http_client
from reference_server.policy.hooks import Hooked, Policies
from reference_server.policy.outbound import Request, Snapshot
from reference_server.policy.sandbox import Plugin
from reference_server.policy.tests.far_end import FarEnd, Names, far_end, gateway_under
from reference_server.policy.tests.test_hooks import EXAMPLES
from reference_server.policy.tests.test_sandbox import BABBLES, EATS, LOOP, TIGHT, module
from reference_server.tests.test_serve import server, without_token

DENY = '{"decision":"deny","reason":"not today"}'
DENIES = module(
    decide=f"(i64.const {(2048 << 32) | len(DENY)})",
    extra='(data (i32.const 2048) "' + DENY.replace('"', '\\"') + '")',
)
RULES = Snapshot(schemes=("http",), private=("models.example",))
FAILING = [
    pytest.param(LOOP, "out of fuel", id="loops"),
    pytest.param("unreachable", "trapped", id="traps"),
    pytest.param(EATS, "memory out of bounds", id="eats-memory"),
    pytest.param(BABBLES, "answer is not the ABI's", id="babbles"),
]


def policies(*modules: bytes) -> Policies:
    hooked = [Hooked(f"p{n}", Plugin(wasm, TIGHT), frozenset({"outbound"})) for n, wasm in enumerate(modules)]
    return Policies(hooked)


def counted(ask: Callable[[Request], str | None]) -> tuple[list[Request], Callable[[Request], str | None]]:
    """The same, and what it was asked."""
    asked: list[Request] = []

    def asking(request: Request) -> str | None:
        asked.append(request)
        return ask(request)

    return asked, asking


def status(far: FarEnd, proxy_client: httpx.Client) -> int:
    far.answers["/m"] = (200, {}, b"weights")
    return proxy_client.get(f"http://models.example:{far.port}/m").status_code


@pytest.mark.req("ORCH-3048", "OC-POLICY-4046", "OC-POLICY-4020")
def test_a_plugin_refuses_what_the_rules_allow_before_the_name_is_looked_up() -> None:
    names = Names(models_example=["127.0.0.1"])
    with (
        far_end() as far,
        gateway_under(RULES, names, ask=policies(module(), DENIES).outbound_refusal) as (gateway, decided),
        gateway.admit("model") as held,
        http_client(held) as client,
        structlog.testing.capture_logs() as logged,
    ):
        assert 403 == status(far, client)

    assert ["plugin"] == [decision.rule for _, decision in decided]
    assert "policy p1 refused it: not today" in held.refusals[0].text
    assert ([], []) == (names.looked_up, far.asked)
    assert [("p0", "allow"), ("p1", "deny")] == [(line["plugin_id"], line["decision"]) for line in logged]
    assert all(line["hook"] == "outbound" and line["latency_us"] > 0 for line in logged)
    assert {"1.0.0"} == {line["plugin_version"] for line in logged}


@pytest.mark.req("OC-POLICY-4046")
def test_a_plugin_that_allows_widens_nothing() -> None:
    names = Names(models_example=["127.0.0.1"])
    for rules, rule in ((Snapshot(schemes=("http",)), "private-address"), (Snapshot(), "scheme")):
        with (
            far_end() as far,
            gateway_under(rules, names, ask=policies(module()).outbound_refusal) as (gateway, decided),
            gateway.admit("model") as held,
            http_client(held) as client,
        ):
            assert 403 == status(far, client)
        assert [rule] == [decision.rule for _, decision in decided]
        assert [] == far.asked


@pytest.mark.req("OC-POLICY-4046")
@pytest.mark.parametrize(
    ("rules", "answer", "rule"),
    [
        pytest.param(Snapshot(is_on=False), 403, "off", id="off"),
        pytest.param(Snapshot(is_on=False, is_shadow=True), 403, "off", id="off-in-shadow"),
        pytest.param(Snapshot(schemes=("http",), deny=("*",)), 403, "denied", id="denied"),
        pytest.param(Snapshot(schemes=("http",), deny=("*",), is_shadow=True), 200, "denied", id="denied-in-shadow"),
    ],
)
def test_what_the_rules_refuse_wakes_no_plugin(rules: Snapshot, answer: int, rule: str) -> None:
    asked, ask = counted(policies(module()).outbound_refusal)
    with (
        far_end() as far,
        gateway_under(rules, Names(models_example=["127.0.0.1"]), ask=ask) as (gateway, decided),
        gateway.admit("model") as held,
        http_client(held) as client,
    ):
        assert answer == status(far, client)

    assert [] == asked
    assert [rule] == [decision.rule for _, decision in decided]


@pytest.mark.req("OC-POLICY-4046", "OC-POLICY-4045")
@pytest.mark.parametrize("wasm", [DENIES, module(decide=LOOP)], ids=["refuses", "fails"])
def test_in_shadow_mode_what_a_plugin_refuses_is_told_and_goes_out(wasm: bytes) -> None:
    shadow = Snapshot(is_shadow=True, schemes=("http",), private=("*",))
    with (
        far_end() as far,
        gateway_under(shadow, Names(models_example=["127.0.0.1"]), ask=policies(wasm).outbound_refusal) as made,
        made[0].admit("model") as held,
        http_client(held) as client,
    ):
        assert 200 == status(far, client)

    assert [("plugin", False, True)] == [(d.rule, d.is_allowed, d.is_open) for _, d in made[1]]
    assert ["/m"] == [asked.path for asked in far.asked]


@pytest.mark.req("OC-POLICY-4046", "OC-POLICY-4011")
@pytest.mark.parametrize(("decide", "says"), FAILING)
def test_a_plugin_that_fails_costs_the_connection_that_it_was_asked_about(decide: str, says: str) -> None:
    """The broken plugin is asked about models.example only; what goes elsewhere meanwhile is not held up."""
    broken = policies(module(decide=decide)).outbound_refusal
    names = Names(models_example=["127.0.0.1"], mirror_example=["127.0.0.1"])
    rules = Snapshot(private=("*",), schemes=("http",))
    with (
        far_end() as far,
        gateway_under(rules, names, ask=lambda r: broken(r) if r.host == "models.example" else None) as (gateway, _),
        gateway.admit("model") as held,
        http_client(held) as client,
    ):
        for _ in range(2):
            assert 403 == status(far, client)
            assert 200 == client.get(f"http://mirror.example:{far.port}/m").status_code

    assert 2 == len(held.refusals)
    assert all("policy p0 failed: " in refusal.text and says in refusal.text for refusal in held.refusals)


@pytest.mark.req("ORCH-3048", "ORCH-3080", "OC-POLICY-4046", "OC-POLICY-4020")
@pytest.mark.parametrize(
    ("wasm", "decision"),
    [(EXAMPLES / "pack_and_stay.wasm", "deny"), (module(decide=LOOP), "failed")],
    ids=["the-example-refuses", "loops"],
)
def test_a_server_whose_plugin_refuses_a_fetch_has_an_unready_pool_and_lives_on(
    tmp_path: Path, wasm: Path | bytes, decision: str
) -> None:
    if isinstance(wasm, bytes):
        (tmp_path / "p.wasm").write_bytes(wasm)
    config = tmp_path / "c.yaml"
    with far_end() as far:
        url = f"http://127.0.0.1:{far.port}/m.gguf"
        replica = {"kind": "supervised", "binary": sys.executable}
        model = {"digest": "sha256:" + hashlib.sha256(b"").hexdigest()}
        pool = {"model_ref": url, "model": model, "replicas": [replica]}
        plugin = {"id": "stay", "file": str(wasm if isinstance(wasm, Path) else tmp_path / "p.wasm"), "wall_ms": 30_000}
        outbound = {"schemes": ["http"], "private": ["127.0.0.1"]}
        whole = {"pools": [pool], "plugins": [plugin | {"hooks": ["outbound"]}], "outbound": outbound}
        config.write_text(json.dumps(whole | {"experimental_cpu": True}))
        with server("--config", str(config), LLAMA_ORCH_CACHE_DIR=str(tmp_path / "cache")) as (process, address):
            health = httpx.get(f"{address}/v1/pools/default/health").json()
            process.terminate()
            assert process.stderr is not None
            lines = [json.loads(line) for line in process.stderr]

    assert not health["ready"]
    assert "outbound policy: http://127.0.0.1" in health["last_error"]
    assert [] == far.asked
    first = next(line for line in lines if line["event"] == "policy decision")
    assert ("outbound", "stay", decision) == (first["hook"], first["plugin_id"], first["decision"])
    assert any("outbound refused: purpose=model rule=plugin" in line["event"] for line in lines)


@pytest.mark.req("OC-POLICY-4046")
def test_the_command_line_asks_the_plugins_of_its_configuration(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    plugin = {"id": "stay", "file": str(EXAMPLES / "pack_and_stay.wasm"), "hooks": ["outbound"], "wall_ms": 30_000}
    config.write_text(json.dumps({"plugins": [plugin]}))
    command = [sys.executable, "-m", "reference_server", "models", "--config", str(config), "fetch"]
    environment = {**without_token(), "LLAMA_ORCH_CACHE_DIR": str(tmp_path / "cache")}
    command += ["https://models.example/m.gguf", "--digest", "sha256:" + "0" * 64]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)

    assert 1 == done.returncode
    assert "policy stay refused it: only hosts of .internal.example" in done.stderr
    assert '"event":"policy decision"' in done.stderr
    assert "" == done.stdout


@pytest.mark.req("OC-POLICY-4001")
def test_the_command_line_does_not_fetch_past_a_plugin_that_cannot_be_loaded(tmp_path: Path) -> None:
    (tmp_path / "p.wasm").write_bytes(module(abi=2 << 16))
    config = tmp_path / "c.yaml"
    plugin = {"id": "watch", "file": str(tmp_path / "p.wasm"), "hooks": ["outbound"]}
    config.write_text(json.dumps({"plugins": [plugin]}))
    environment = {**without_token(), "LLAMA_ORCH_CACHE_DIR": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "reference_server", "models", "--config", str(config), "fetch", "hf:org/repo"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)

    assert 3 == done.returncode
    assert "policy plugin watch" in done.stderr
    assert "built for ABI 2.0" in done.stderr
    assert not (tmp_path / "cache").exists()

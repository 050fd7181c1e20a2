"""What a client is told of each engine's faults: the server in front of stand-ins that do what no real engine can be
made to do.

Every fault has one outcome for the client, the same on every engine unless its protocol cannot show it: Triton's stream
has no final frame, and its frames no identity.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest

from harness.client import Client, fresh_id
from harness.engines.llamacpp import LlamaCppFormat
from harness.engines.script import Script
from harness.engines.stand_in import StandIn, stand_in
from harness.engines.tgi import TgiFormat
from harness.engines.triton import TritonFormat
from harness.engines.vllm import VllmFormat
from harness.engines.wire_format import WireFormat
from harness.expect import assert_ended_well, assert_ended_with
from harness.history import History, Stream
from harness.target import REFERENCE_SERVER, Servers, pool_settings

END_MS = 20_000.0
READY_MS = 30_000.0
IDLE_MS = 3_000  # what a stall takes; a stand-in that runs beside much else must not look like one
TOKENS = 6
CALM = Script()

FORMATS: dict[str, type[WireFormat]] = {
    "llamacpp": LlamaCppFormat,
    "vllm": VllmFormat,
    "tgi": TgiFormat,
    "triton": TritonFormat,
}

# By name: what the stand-in does, the code that ends the task, and how many tokens the client has by then.
FAULTS: dict[str, tuple[dict[str, Any], str, int]] = {
    "an-error-frame-first": ({"error_at": 0}, "REPLICA_EXHAUSTED", 0),
    "an-error-frame-later": ({"error_at": 3}, "REPLICA_EXHAUSTED", 3),
    "garbage": ({"garbage_at": 2}, "REPLICA_EXHAUSTED", 2),
    "another-content-type": ({"content_type": "application/json"}, "REPLICA_EXHAUSTED", 0),
    "a-flood": ({"flood_bytes": 2_000_000}, "REPLICA_EXHAUSTED", 0),
    "too-many-requests": ({"is_busy": True}, "REPLICA_EXHAUSTED", 0),
    "still-loading": ({"is_loading": True}, "REPLICA_EXHAUSTED", 0),
    "a-cut-in-the-first-frame": ({"cut_at_byte": 10}, "WORKER_RESET", 0),
    "a-stall": ({"stall_at": 2}, "DECODE_TIMEOUT", 2),
}


@pytest.fixture(scope="module", params=FORMATS)
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[StandIn, Client]]:
    """A stand-in of each engine, and a client of the server in front of it."""
    name: str = request.param
    servers = Servers(REFERENCE_SERVER, folder=tmp_path_factory.mktemp(name))
    with stand_in(FORMATS[name](), dataclasses.replace(CALM)) as engine:
        # slots for one: a slot that stays with a stalled stream would show
        replica = {"kind": "external", "url": engine.url, "slots": 1, "engine": name}
        target = servers.start(pool_settings({"watchdog": {"idle_ms": IDLE_MS}}, replica))
        client = Client(target.url, token=target.token, history=History())
        yield engine, client
        client.close()
        servers.stop()


def behave(engine: StandIn, **changes: Any) -> None:
    """What the stand-in does from now on."""
    for field in dataclasses.fields(Script):
        setattr(engine.script, field.name, changes.get(field.name, getattr(CALM, field.name)))


def wait_ready(client: Client) -> None:
    """Until the pool takes work again, with its slot free."""

    def is_ready() -> bool:
        health = client.request("GET", "/v1/pools/default/health").json
        return bool(health["ready"]) and health["metrics"]["slots_active"] == 0

    client.wait_until(is_ready, deadline_ms=READY_MS, what="the pool to be ready")


def run(client: Client, engine: StandIn, *, seed: int = 7, prompt: str = "a b c") -> Stream:
    name = next(name for name, wire in FORMATS.items() if isinstance(engine.wire, wire))
    task = {
        "task_id": fresh_id(),
        "session_id": fresh_id(),
        "workload": "completion",
        "model_ref": "default",
        "engine": name,
        "ctx": 512,
        "priority": "interactive",
        "max_tokens": TOKENS,
        "deadline_ms": 600_000,
        "seed": seed,
        "prompt": prompt,
    }
    answer = client.submit(task)
    assert 202 == answer.status, str(answer)
    reader = client.open_stream(str(task["task_id"]))
    client.read_to_end([reader], deadline_ms=END_MS)
    return reader.record


def pieces(stream: Stream) -> list[str]:
    return [frame.payload["t"] for frame in stream.tokens]


@pytest.mark.req("OC-ADAPT-5013", "OC-ADAPT-5015", "OC-ADAPT-5030", "OC-ADAPT-5050", "OC-ADAPT-5060", "ORCH-3016")
@pytest.mark.parametrize("fault", FAULTS)
def test_stand_in_a_fault_ends_its_task_and_the_pool_serves_on(served: tuple[StandIn, Client], fault: str) -> None:
    engine, client = served
    changes, code, tokens = FAULTS[fault]
    if fault == "still-loading" and isinstance(engine.wire, VllmFormat):
        code = (
            "WORKER_RESET"  # so vLLM answers once its engine is dead, which its health tells while the task backs off
        )
    wait_ready(client)

    behave(engine, **changes)
    stream = run(client, engine)
    behave(engine)

    assert_ended_with(stream, code)
    assert stream.frames[-1].payload["retriable"] is True
    assert tokens == len(stream.tokens)
    wait_ready(client)
    assert_ended_well(run(client, engine))


@pytest.mark.req("OC-ADAPT-5013")
def test_stand_in_a_cut_after_some_tokens_is_never_an_end(served: tuple[StandIn, Client]) -> None:
    engine, client = served
    wait_ready(client)
    whole = len(pieces(run(client, engine)))

    behave(engine, cut_at_byte=400)
    stream = run(client, engine)
    behave(engine)

    assert_ended_with(stream, "WORKER_RESET")
    assert 0 < len(stream.tokens) < whole
    wait_ready(client)


@pytest.mark.req("OC-ADAPT-5018", "ORCH-3045")
def test_stand_in_slow_and_multi_byte_and_empty_tokens_come_whole(served: tuple[StandIn, Client]) -> None:
    engine, client = served
    wait_ready(client)
    at_once = [pieces(run(client, engine, seed=seed)) for seed in range(6)]
    behave(engine, delay_s=0.02)
    slowly = [pieces(run(client, engine, seed=seed)) for seed in range(6)]
    behave(engine)

    assert at_once == slowly
    text = "".join("".join(piece) for stream in at_once for piece in stream)
    assert "\ufffd" not in text
    assert any(len(character.encode()) > 2 for character in text)
    assert any(piece == "" for stream in at_once for piece in stream)


@pytest.mark.req("OC-CORE-1030", "OC-TEST-7006")
def test_stand_in_a_token_that_drifts_shows_in_the_stream(served: tuple[StandIn, Client]) -> None:
    """The server hides nothing of it: it is for the determinism suite to find."""
    engine, client = served
    wait_ready(client)
    behave(engine, drifts_at=3)
    first, second = pieces(run(client, engine)), pieces(run(client, engine))
    behave(engine)

    assert first != second
    assert first[:3] == second[:3]


@pytest.mark.req("OC-CORE-1031", "ORCH-3032")
def test_stand_in_another_version_is_named_once_the_engine_was_lost(served: tuple[StandIn, Client]) -> None:
    """While it is Ready a pool keeps the version that it was preloaded with; a loss has it read again."""
    engine, client = served
    wait_ready(client)
    before = run(client, engine).frames[0].payload["engine_version"]
    behave(engine, version="mock-2.0")
    assert before == run(client, engine).frames[0].payload["engine_version"]

    behave(engine, version="mock-2.0", is_gone=True)
    client.wait_until(
        lambda: not client.request("GET", "/v1/pools/default/health").json["ready"],
        deadline_ms=READY_MS,
        what="the pool to notice",
    )
    behave(engine, version="mock-2.0")
    wait_ready(client)
    assert "mock-2.0" == run(client, engine).frames[0].payload["engine_version"].split("+")[0]
    behave(engine)


NATIVE = {"/health", "/props", "/tokenize", "/completion", "/slots", "/metrics"}
SWITCHED_ON = {"/embedding", "/rerank"}  # by an option of llama-server's start


@pytest.mark.req("OC-ADAPT-5001")
@pytest.mark.parametrize("served", ["llamacpp"], indirect=True)
def test_stand_in_the_llama_cpp_adapter_uses_the_native_api_alone(served: tuple[StandIn, Client]) -> None:
    """A whole answer, a scrape, and a stream that has to be stopped: all that an adapter does."""
    engine, client = served
    behave(engine)
    wait_ready(client)
    run(client, engine, prompt="word " * 120)  # whether it fits shows only when its tokens are counted
    behave(engine, stall_at=2)
    run(client, engine)
    behave(engine)

    def is_native() -> bool:
        client.request("GET", "/metrics")
        return engine.paths >= NATIVE

    client.wait_until(is_native, deadline_ms=READY_MS, what=f"requests for {sorted(NATIVE - engine.paths)}")
    assert engine.paths <= NATIVE | SWITCHED_ON, engine.paths

"""The reference server in front of a real engine, the one that `REQUIRE_REAL_ENGINE` names: what no stand-in can prove.

What an engine does is asked of the engine itself: its version, how much it works, its errors. The last tests end it.

    REQUIRE_REAL_ENGINE=vllm python -m pytest harness/engines/tests/test_real_engine.py

Source: OC-TEST-7010, ORCH-3054, ORCH-3055, ORCH-3057.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from harness.client import Client, fresh_id
from harness.engines.real import start, start_for
from harness.engines.real_engine import RealEngine
from harness.expect import assert_ended_well, assert_ended_with, assert_error
from harness.history import History, Stream
from harness.stand_in import REQUIRE_ENGINE_ENV
from harness.target import Servers, Target, pool_settings

pytestmark = [pytest.mark.real_engine, pytest.mark.timeout(600)]

END_MS = 120_000.0
STOP_MS = 2_000.0  # for an engine on a busy CPU to have let go, as OC-CORE-1015 has it
LOST_MS = 30_000.0
PROMPT = "Numbers: 1, 2, 3, 4, 5, 6, 7, 8, 9,"
ENDLESS = "0, " * 24
LONG_TOKENS = 1_200


@pytest.fixture
def engine(real_engine: RealEngine | None) -> RealEngine:
    assert real_engine is not None, f"name the engine: {REQUIRE_ENGINE_ENV}=llamacpp, vllm or triton"
    return real_engine


@pytest.fixture
def own(engine: RealEngine, tmp_path: Path) -> Iterator[RealEngine]:
    """Another engine of the same kind, which may be ended."""
    started = start(engine.name, folder=tmp_path / "engine")
    yield started
    started.stop()


@pytest.fixture
def client_of() -> Iterator[Callable[[Target], Client]]:
    """Makes clients of servers; all are closed at the end."""
    with ExitStack() as made:
        yield lambda target: made.enter_context(closing(Client(target.url, token=target.token, history=History())))


def body(target: Target, **changes: Any) -> dict[str, Any]:
    row = target.capabilities()["engines"][0]
    return {
        "task_id": fresh_id(),
        "session_id": fresh_id(),
        "workload": "completion",
        "model_ref": "default",
        "engine": row["engine"],
        "ctx": row["ctx_max"],
        "priority": "interactive",
        "max_tokens": 24,
        "deadline_ms": 600_000,
        "seed": 7,
        "prompt": PROMPT,
        **changes,
    }


def read(client: Client, task: dict[str, Any]) -> Stream:
    answer = client.submit(task)
    assert 202 == answer.status, str(answer)
    reader = client.open_stream(str(task["task_id"]))
    client.read_to_end([reader], deadline_ms=END_MS)
    return reader.record


def read_tokens(client: Client, task: dict[str, Any], count: int) -> Stream:
    """Submit a task and read until so many of its tokens have come."""
    answer = client.submit(task)
    assert 202 == answer.status, str(answer)
    stream = client.open_stream(str(task["task_id"])).record
    client.wait_until(lambda: len(stream.tokens) >= count, deadline_ms=END_MS, what=f"{count} tokens")
    return stream


def health(client: Client) -> dict[str, Any]:
    return dict(client.request("GET", "/v1/pools/default/health").json)


@pytest.mark.req("ORCH-3045", "OC-CORE-1030", "OC-ADAPT-5018")
def test_real_it_streams_what_it_counts_and_the_same_for_the_same_seed(
    client_of: Callable[[Target], Client], engine: RealEngine, target: Target
) -> None:
    client = client_of(target)
    streams = [read(client, body(target, seed=seed, prompt="Once upon a time,")) for seed in (7, 7, 8, 9)]

    for stream in streams:
        assert_ended_well(stream)
        end = stream.of("end")[0].payload
        assert len(stream.tokens) == end["tokens_out"] == 24
        assert end["tokens_in"] > 0
    first, again, *others = [stream.text for stream in streams]  # vLLM joins frames for a reader that is late
    assert first == again
    assert [first, first] != others
    assert any(character.isalpha() for character in streams[0].text)


@pytest.mark.req("ORCH-3017", "OC-ADAPT-5014")
def test_real_a_cancel_stops_the_engine(
    client_of: Callable[[Target], Client], engine: RealEngine, target: Target
) -> None:
    client, task = client_of(target), body(target, prompt=ENDLESS, max_tokens=LONG_TOKENS)
    stream = read_tokens(client, task, 4)
    assert 1 == engine.running()

    client.cancel(str(task["task_id"]))
    client.wait_until(lambda: engine.running() == 0, deadline_ms=STOP_MS, what="the engine to stop")
    client.wait_until(lambda: stream.end is not None, deadline_ms=STOP_MS, what="the end of the stream")
    assert_ended_with(stream, "CANCELED")
    assert len(stream.tokens) < LONG_TOKENS


@pytest.mark.req("ORCH-3017", "OC-CORE-1017")
def test_real_a_reader_that_leaves_stops_the_engine_where_the_task_asked_for_it(
    client_of: Callable[[Target], Client], engine: RealEngine, target: Target
) -> None:
    client = client_of(target)
    read_tokens(client, body(target, prompt=ENDLESS, max_tokens=LONG_TOKENS, on_disconnect="cancel"), 4)
    assert 1 == engine.running()

    client.leave(client.readers[-1], "reset")
    client.wait_until(lambda: engine.running() == 0, deadline_ms=STOP_MS, what="the engine to stop")


@pytest.mark.req("ORCH-3032", "OC-ADAPT-5011")
def test_real_capabilities_and_started_name_the_version_that_the_engine_tells(
    client_of: Callable[[Target], Client], engine: RealEngine, target: Target, record_property: Any
) -> None:
    stream = read(client_of(target), body(target, max_tokens=1))
    row = target.capabilities()["engines"][0]
    record_property("engine_version", engine.version())

    assert engine.version() == stream.of("started")[0].payload["engine_version"] == row["engine_version"]
    assert row["features"]["stand_in"] is False


@pytest.mark.req("ORCH-3022", "ORCH-3028")
def test_real_its_metrics_reach_ours(client_of: Callable[[Target], Client], engine: RealEngine, target: Target) -> None:
    client = client_of(target)
    read(client, body(target))
    lines = client.request("GET", "/metrics").body.decode().splitlines()
    found = {
        name: [float(line.rpartition(" ")[2]) for line in lines if line.startswith(name + "{")]
        for name in ("kv_cache_usage_ratio", "tokens_in_total", "tokens_out_total")
    }

    assert all(0 <= ratio <= 1 for ratio in found["kv_cache_usage_ratio"])
    assert all(found.values())
    assert min(sum(found["tokens_in_total"]), sum(found["tokens_out_total"])) > 0
    assert all(f'engine="{engine.name}"' in line for line in lines if line.startswith("tokens_out_total{"))


@pytest.mark.req("OC-ADAPT-5015", "OC-ADAPT-5020", "OC-ADAPT-5060")
def test_real_an_error_before_any_stream_keeps_the_pool_from_ready_and_says_why(
    client_of: Callable[[Target], Client], engine: RealEngine, servers: Servers
) -> None:
    """A model that the engine does not have; llama-server has but one, so there it is a server that is not there."""
    wrong = {"url": "http://127.0.0.1:9"} if engine.name == "llamacpp" else {"model_name": "nobody"}
    target = servers.start(pool_settings({}, {**engine.replica, **wrong}))
    client = client_of(target)
    refused = client.submit({**body(target), "ctx": 64})

    assert 503 == refused.status, str(refused)
    assert refused.header("retry-after")
    assert health(client)["ready"] is False
    assert health(client)["last_error"]


EMBEDS = pytest.param("embedding", ["a queue waits", "a slot is free", "a queue waits"], id="embedding")
RERANKS = pytest.param("rerank", ["who waits?", "a queue waits", "snow falls"], id="rerank")


@pytest.mark.req("OC-CTRL-2080", "OC-ADAPT-5019", "OC-ADAPT-5020")
@pytest.mark.parametrize(("workload", "inputs"), [EMBEDS, RERANKS])
def test_real_it_embeds_and_reranks_where_it_was_started_for_it(
    engine: RealEngine,
    servers: Servers,
    client_of: Callable[[Target], Client],
    tmp_path: Path,
    *,
    record_property: Callable[[str, object], None],
    workload: str,
    inputs: list[str],
) -> None:
    """With an engine of its own, started for this; where there is no such start, no claim, and a refusal."""
    other = start_for(engine.name, workload, folder=tmp_path / "engine")
    try:
        target = servers.start(pool_settings({}, (other or engine).replica))
        client = client_of(target)
        task = body(target, workload=workload, inputs=inputs, max_tokens=1)
        del task["prompt"], task["seed"]
        claimed = target.capabilities()["engines"][0]["supported_workloads"]
        if other is None:
            assert workload not in claimed
            assert_error(client.submit(task), "INVALID_PARAMS")
            return
        assert workload in claimed
        stream = read(client, task)
        assert_ended_well(stream)
        (result,) = (frame.payload for frame in stream.of("result"))
        assert stream.of("end")[0].payload["tokens_in"] > len(inputs)
    finally:
        if other is not None:
            other.stop()
    if workload == "rerank":
        assert 2 == len(result["scores"])
    else:
        first, second, again = result["embeddings"]
        assert first == pytest.approx(again, abs=1e-3)
        assert first != pytest.approx(second, abs=1e-3)
        assert any(first)
    record_property("serves", workload)


@pytest.mark.req("OC-ADAPT-5013", "OC-CORE-1016", "OC-CTRL-2022")
def test_real_an_engine_that_is_killed_in_a_stream_is_a_reset_worker(
    client_of: Callable[[Target], Client], own: RealEngine, servers: Servers
) -> None:
    target = servers.start(pool_settings({}, own.replica))
    client = client_of(target)
    stream = read_tokens(client, body(target, prompt=ENDLESS, max_tokens=LONG_TOKENS), 4)

    own.kill()
    client.wait_until(lambda: stream.end is not None, deadline_ms=LOST_MS, what="the end of the stream")
    assert_ended_with(stream, "WORKER_RESET")
    assert stream.frames[-1].payload["retriable"] is True
    client.wait_until(lambda: not health(client)["ready"], deadline_ms=LOST_MS, what="the pool to be unready")
    assert 503 == client.submit({**body(target), "ctx": 64}).status


@pytest.mark.req("OC-ADAPT-5030", "OC-ADAPT-5060", "OC-CTRL-2022")
def test_real_an_error_of_the_engine_inside_a_stream_ends_the_task(
    client_of: Callable[[Target], Client], own: RealEngine, servers: Servers
) -> None:
    """vLLM once its core has died, Triton where the answer does not fit; llama-server has no such error to provoke."""
    more = {"ctx": 4096} if own.name == "triton" else {}
    target = servers.start(pool_settings({}, {**own.replica, **more}))
    client = client_of(target)
    tokens = 2_100 if own.name == "triton" else LONG_TOKENS
    stream = read_tokens(client, body(target, prompt=ENDLESS, max_tokens=tokens), 4)
    if (why_not := own.break_inside()) is not None:
        pytest.skip(f"{own.name}: {why_not}")

    client.wait_until(lambda: stream.end is not None, deadline_ms=LOST_MS, what="the end of the stream")
    last = stream.frames[-1]
    assert "error" == last.event
    assert last.payload["code"] in {"REPLICA_EXHAUSTED", "WORKER_RESET"}
    assert last.payload["retriable"] is True
    assert 1 == len([frame for frame in stream.frames if frame.is_terminal])

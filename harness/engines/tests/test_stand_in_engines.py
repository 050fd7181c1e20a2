"""The stand-ins: accepted by clients that others wrote, alike to a real recording, and faulty exactly as scripted."""

import collections
import json
from collections.abc import Sequence
from pathlib import Path

import httpx
import huggingface_hub
import openai
import pytest
import tritonclient.http  # type: ignore[import-untyped]

from harness.engines.llamacpp import LlamaCppFormat
from harness.engines.script import Script
from harness.engines.stand_in import StandIn, stand_in
from harness.engines.tgi import TgiFormat
from harness.engines.triton import TritonFormat
from harness.engines.vllm import VllmFormat
from harness.engines.wire_format import WireFormat

RECORDED = Path(__file__).parents[3] / "reference_server/engines/tests/llama_server_b11434.sse"

BODIES: Sequence[tuple[WireFormat, dict[str, object]]] = (
    (LlamaCppFormat(), {"prompt": "a b", "n_predict": 4, "stream": True, "seed": 7}),
    (VllmFormat(), {"prompt": "a b", "max_tokens": 4, "stream": True, "seed": 7}),
    (TgiFormat(), {"inputs": "a b", "parameters": {"max_new_tokens": 5, "seed": 7}, "stream": True}),
    (TritonFormat(), {"text_input": "a b", "max_tokens": 4, "stream": True, "random_seed": 7}),
)
every_format = pytest.mark.parametrize(("wire", "body"), BODIES, ids=[type(wire).__name__ for wire, _ in BODIES])


def stream_of(engine: StandIn, body: dict[str, object], *, read_s: float = 5.0) -> httpx.Response:
    return httpx.post(engine.url + engine.wire.stream_paths[0], json=body, timeout=read_s)


def until(expected: type[httpx.HTTPError], engine: StandIn, body: dict[str, object], *, read_s: float = 5.0) -> bytes:
    """What comes of a stream before it fails, which it must."""
    received = bytearray()
    path = engine.url + engine.wire.stream_paths[0]
    limit = httpx.Timeout(5.0, read=read_s)
    with httpx.stream("POST", path, json=body, timeout=limit) as answer, pytest.raises(expected):
        collections.deque(map(received.extend, answer.iter_raw()), maxlen=0)
    return bytes(received)


@pytest.mark.req("ORCH-3055")
def test_the_openai_client_accepts_the_stand_in_of_vllm() -> None:
    with stand_in(VllmFormat()) as engine, openai.OpenAI(base_url=f"{engine.url}/v1", api_key="none") as client:
        assert ["stand-in"] == [model.id for model in client.models.list()]
        parts = list(
            client.completions.create(
                model="stand-in",
                prompt="a b",
                max_tokens=4,
                seed=7,
                stream=True,
                stream_options={"include_usage": True},
            )
        )

    assert ["length"] == [part.choices[0].finish_reason for part in parts if part.choices][-1:]
    assert parts[-1].usage is not None
    assert (2, 4) == (parts[-1].usage.prompt_tokens, parts[-1].usage.completion_tokens)


@pytest.mark.req("ORCH-3056")
def test_the_hugging_face_client_accepts_the_stand_in_of_tgi() -> None:
    with stand_in(TgiFormat()) as engine:
        client = huggingface_hub.InferenceClient(model=engine.url, timeout=10)
        parts = list(client.text_generation("a b", stream=True, details=True, max_new_tokens=5, seed=7))

    assert "".join(part.token.text for part in parts if not part.token.special) == parts[-1].generated_text
    assert parts[-1].details is not None
    assert ("eos_token", 5) == (parts[-1].details.finish_reason, parts[-1].details.generated_tokens)


@pytest.mark.req("ORCH-3057")
def test_the_triton_client_accepts_the_stand_in_of_triton() -> None:
    """Health and metadata: that client has no call for the generate extension."""
    with stand_in(TritonFormat()) as engine:
        client = tritonclient.http.InferenceServerClient(engine.url.removeprefix("http://"))
        assert client.is_server_live()
        assert client.is_model_ready("ensemble")
        version, model = client.get_server_metadata()["version"], client.get_model_metadata("ensemble")
        client.close()

    assert "mock-1.0" == version
    assert {"text_input", "max_tokens"} < {tensor["name"] for tensor in model["inputs"]}


@pytest.mark.req("ORCH-3054")
def test_frames_of_the_stand_in_of_llamacpp_have_the_members_that_a_real_one_was_recorded_with() -> None:
    def frames(text: str) -> list[dict[str, object]]:
        return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]

    with stand_in(LlamaCppFormat()) as engine:
        made = frames(stream_of(engine, BODIES[0][1]).text)
    real = frames(RECORDED.read_text(encoding="utf-8"))

    assert set(real[0]) == set(made[0])
    assert set(made[-1]) <= set(real[-1])
    assert {name: type(value) for name, value in real[0].items()} == {n: type(v) for n, v in made[0].items()}


@every_format
def test_stand_in_equal_requests_have_equal_bytes_and_another_seed_has_others(
    wire: WireFormat, body: dict[str, object]
) -> None:
    with stand_in(wire) as engine:
        first, second = stream_of(engine, body).content, stream_of(engine, body).content
        other = stream_of(engine, json.loads(json.dumps(body).replace("7", "8"))).content

    assert first == second
    assert first != other


@every_format
def test_stand_in_a_token_that_drifts_differs_between_equal_requests(wire: WireFormat, body: dict[str, object]) -> None:
    with stand_in(wire, Script(drifts_at=2)) as engine:
        first, second = stream_of(engine, body).text.split("\n\n"), stream_of(engine, body).text.split("\n\n")

    assert first[:2] == second[:2]
    assert first[2] != second[2]


@every_format
def test_stand_in_a_cut_closes_after_exactly_so_many_bytes(wire: WireFormat, body: dict[str, object]) -> None:
    with stand_in(wire, Script(cut_at_byte=50)) as engine:
        received = until(httpx.RemoteProtocolError, engine, body)

    assert 50 == len(received)


@every_format
def test_stand_in_a_stall_sends_nothing_more_and_stays_open(wire: WireFormat, body: dict[str, object]) -> None:
    with stand_in(wire, Script(stall_at=1)) as engine:
        received = until(httpx.ReadTimeout, engine, body, read_s=1.0)

    assert 1 == received.count(b"\n\n")


@every_format
def test_stand_in_faults_inside_the_stream_are_in_its_bytes(wire: WireFormat, body: dict[str, object]) -> None:
    with stand_in(wire) as engine:
        engine.script = Script(error_at=1)
        assert stream_of(engine, body).content.endswith(wire.error())
        engine.script = Script(garbage_at=1)
        assert b"\xff{oops" in stream_of(engine, body).content
        engine.script = Script(flood_bytes=100_000)
        assert 100_000 < len(stream_of(engine, body).content.split(b"\n\n")[0])
        engine.script = Script(content_type="text/html")
        assert "text/html" == stream_of(engine, body).headers["content-type"]


@every_format
def test_stand_in_faults_before_the_stream_are_its_answer(wire: WireFormat, body: dict[str, object]) -> None:
    with stand_in(wire) as engine:
        engine.script = Script(is_busy=True)
        assert wire.busy[0] == stream_of(engine, body).status_code
        engine.script = Script(is_loading=True)
        assert wire.loading_work[0] == stream_of(engine, body).status_code


VERSION_PATHS = {LlamaCppFormat: "/props", VllmFormat: "/version", TgiFormat: "/info", TritonFormat: "/v2"}


@every_format
@pytest.mark.req("OC-ADAPT-5012")
def test_stand_in_says_that_it_is_one_and_may_change_its_version(wire: WireFormat, body: dict[str, object]) -> None:
    path = VERSION_PATHS[type(wire)]
    with stand_in(wire) as engine:
        assert "mock-1.0" in httpx.get(engine.url + path).text
        engine.script = Script(version="mock-2.0")
        assert "mock-2.0" in httpx.get(engine.url + path).text

"""What the Triton adapter asks of Triton's server, and needs in its answers."""

from pact import Pact, match
from pact.interaction import HttpInteraction

from contracts.tests import pact_rules as rules
from contracts.tests.pact_writing import SomeText, asked
from reference_server.engines.base import (
    Engine,
    EngineBusyError,
    EngineFaultError,
    EngineRefusedError,
    Finished,
    Tokens,
    Usage,
)
from reference_server.engines.tests.pacts.consumer import (
    BUSY,
    EVENTS,
    FAILING,
    JSON,
    LOADING,
    METRICS_TYPE,
    READY,
    Case,
    Consumer,
    stream,
)
from reference_server.engines.triton import Triton

UNKNOWN = "no model of that name is served"
NO_MODEL = "no-such-model"
TRTLLM = "the model is TensorRT-LLM's"
KV = "nv_trt_llm_kv_cache_block_metrics"

FRAMES = 'data: {"text_output":"a"}\n\ndata: {"text_output":"b"}\n\n'
FRAME_RULES = (rules.every_frame("text_output", rules.STRING, what="a text"),)
BROKEN = 'data: {"error":"failed"}\n\n'
BROKEN_RULES = (rules.last_frame("error", rules.STRING, what="a text"),)


def ready(pact: Pact) -> None:
    _about_model(pact, "a question whether its model is ready", READY, "/ready", "OC-ADAPT-5060").will_respond_with(200)


def loading(pact: Pact) -> None:
    _about_model(
        pact, "a question whether its model is ready while it loads", LOADING, "/ready", "OC-ADAPT-5060"
    ).will_respond_with(400)


def live(pact: Pact) -> None:
    (
        asked(pact, "a question whether it lives while its model loads", LOADING, "OC-ADAPT-5060")
        .with_request("GET", "/v2/health/live")
        .will_respond_with(200)
    )


def version(pact: Pact) -> None:
    (
        asked(pact, "a question for its version", READY, "OC-ADAPT-5060", "OC-ADAPT-5011")
        .with_request("GET", "/v2")
        .will_respond_with(200)
        .with_body({"version": SomeText("2.51")}, JSON)
    )


def metadata(pact: Pact) -> None:
    (
        _about_model(pact, "a question for its model's inputs", READY, "", "OC-ADAPT-5060")
        .will_respond_with(200)
        .with_body({"inputs": match.array_containing([{"name": "text_input"}, {"name": "max_tokens"}])}, JSON)
    )


def unknown(pact: Pact) -> None:
    (
        asked(pact, "a question for an unknown model's inputs", UNKNOWN, "OC-ADAPT-5015")
        .with_request("GET", f"/v2/models/{NO_MODEL}")
        .will_respond_with(404)
        .with_body({"error": match.str("unknown model")}, JSON)
        .with_matching_rules({"status": {"matchers": [{"match": "statusCode", "status": "clientError"}]}})
    )


def completion(pact: Pact) -> None:
    (
        _completion(pact, "a completion", READY, "ORCH-3057")
        .will_respond_with(200)
        .with_header("Transfer-Encoding", "chunked")  # without it, the end would prove nothing
        .with_body(FRAMES, EVENTS)
        .with_matching_rules(rules.body_rules(FRAME_RULES))
    )


def failing(pact: Pact) -> None:
    (
        _completion(pact, "a completion that fails", FAILING, "OC-ADAPT-5060")
        .will_respond_with(200)
        .with_header("Transfer-Encoding", "chunked")
        .with_body(BROKEN, EVENTS)
        .with_matching_rules(rules.body_rules(BROKEN_RULES))
    )


def busy(pact: Pact) -> None:
    words = match.regex("Exceeds maximum queue size", regex=r".*(?i:maximum queue size|max_queue_size).*")
    _completion(pact, "a completion too many", BUSY, "OC-ADAPT-5015").will_respond_with(503).with_body(
        {"error": words}, JSON
    )


def metrics(pact: Pact) -> None:
    (
        asked(pact, "a question for its metrics", TRTLLM, "ORCH-3057", "OC-ADAPT-5070")
        .with_request("GET", "/metrics")
        .will_respond_with(200)
        .with_body(
            f'{KV}{{kv_cache_block_type="used"}} 1\n{KV}{{kv_cache_block_type="max"}} 4\n'
            'nv_trt_llm_request_metrics{request_type="active"} 2\n',
            METRICS_TYPE,
        )
        .with_matching_rules(
            rules.body_rules(
                [
                    rules.sample(KV, kv_cache_block_type="used"),
                    rules.sample(KV, kv_cache_block_type="max"),
                    rules.sample("nv_trt_llm_request_metrics", request_type="active"),
                ]
            )
        )
    )


def _completion(pact: Pact, description: str, given: str, *requirements: str) -> HttpInteraction:
    body = {"text_input": match.str("one two three"), "max_tokens": match.int(3)}
    return _about_model(pact, description, given, "/generate_stream", *requirements, method="POST").with_body(
        body, JSON
    )


def _about_model(
    pact: Pact, description: str, given: str, path: str, *requirements: str, method: str = "GET"
) -> HttpInteraction:
    """The name of the model is part of the path, and the verifier is told it."""
    return (
        asked(pact, description, given, *requirements)
        .with_request(method, f"/v2/models/ensemble{path}")
        .with_matching_rules(
            {"path": {"combine": "AND", "matchers": [{"match": "regex", "regex": rf"/v2/models/[^/]+{path}"}]}},
            part="Request",
        )
        .with_generators(
            {"path": {"type": "ProviderState", "expression": f"/v2/models/${{model}}{path}", "dataType": "STRING"}},
            part="Request",
        )
    )


async def _properties(engine: Engine) -> object:
    return (await engine.properties()).engine_version


CONSUMER = Consumer(
    provider="triton",
    adapter=lambda url: Triton(url, metrics_url=url),
    cases=(
        Case("ready", [ready], lambda engine: engine.readiness(), "ready"),
        Case("loading", [loading, live], lambda engine: engine.readiness(), "loading"),
        Case("properties", [version, metadata], _properties, "2.51"),
        Case("completion", [metadata, completion], stream, [Tokens(("a", "b")), Finished("stop", 4, 2)]),
        Case("unknown-model", [unknown], stream, EngineRefusedError, lambda url: Triton(url, model_name=NO_MODEL)),
        Case("busy", [metadata, busy], stream, EngineBusyError),
        Case("failing", [metadata, failing], stream, EngineFaultError),
        Case("metrics", [metrics], lambda engine: engine.usage(), Usage(0.25, 2)),
    ),
)

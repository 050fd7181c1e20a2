"""What the vLLM adapter asks of vLLM's server, and needs in its answers."""

from functools import partial

from pact import Pact, generate, match
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
    Vectors,
)
from reference_server.engines.tests.pacts.consumer import (
    BUSY,
    EMBEDS,
    EVENTS,
    FAILING,
    JSON,
    METRICS_TYPE,
    READY,
    TOO_LONG,
    Case,
    Consumer,
    stream,
)
from reference_server.engines.vllm import KV_RATIO_NAMES, Vllm

MODEL = "m"
DEAD = "the engine behind the server is dead"
UNKNOWN = "no model of that name is served"
NO_MODEL = "no-such-model"

DONE = r"(?:(?!data:)\g<other>)*+data: ?\[DONE\]\g<nl>\g<nl>"
USAGE_AND_DONE = rules.frame() + DONE

FRAMES = (
    'data: {"choices":[{"text":"a"}]}\n\n'
    'data: {"choices":[{"text":"b","finish_reason":"length"}]}\n\n'
    'data: {"choices":[],"usage":{"prompt_tokens":4,"completion_tokens":2}}\n\n'
    "data: [DONE]\n\n"
)
FRAME_RULES = (
    rules.every_frame("choices", rules.LIST, what="a list", tail=DONE),
    rules.every_frame("choices.0.text", rules.STRING, what="a text", tail=USAGE_AND_DONE),
    rules.last_frame(
        "choices.0.finish_reason", rules.one_of("stop", "length"), what="why it ended", tail=USAGE_AND_DONE
    ),
    rules.last_frame("choices", r"\[\s*\]", what="an empty list", tail=DONE),
    rules.last_frame("usage.prompt_tokens", rules.COUNT, what="the prompt's tokens", tail=DONE),
    rules.last_frame("usage.completion_tokens", rules.COUNT, what="the tokens of the text", tail=DONE),
)
BROKEN = 'data: {"error":{"type":"InternalServerError","code":500}}\n\ndata: [DONE]\n\n'
BROKEN_RULES = (
    rules.last_frame("error.type", rules.STRING, what="the error's name", tail=DONE),
    rules.last_frame("error.code", rules.COUNT, what="the error's status", tail=DONE),
)


def ready(pact: Pact) -> None:
    asked(pact, "a question for its health", READY, "ORCH-3055").with_request("GET", "/health").will_respond_with(200)


def dead(pact: Pact) -> None:
    asked(pact, "a question for its health once it is dead", DEAD, "ORCH-3055").with_request(
        "GET", "/health"
    ).will_respond_with(503)


def version(pact: Pact) -> None:
    (
        asked(pact, "a question for its version", READY, "OC-ADAPT-5020")
        .with_request("GET", "/version")
        .will_respond_with(200)
        .with_body({"version": SomeText("0.1")}, JSON)
    )


def models(pact: Pact) -> None:
    model = {"id": SomeText(MODEL), "max_model_len": match.int(1024)}
    (
        asked(pact, "a question for its models", READY, "OC-ADAPT-5011")
        .with_request("GET", "/v1/models")
        .will_respond_with(200)
        .with_body({"data": match.each_like(model, min=1)}, JSON)
    )


def tokens(pact: Pact) -> None:
    (
        asked(pact, "a text to count the tokens of", READY, "OC-ADAPT-5020")
        .with_request("POST", "/tokenize")
        .with_body({"model": _served(), "prompt": match.str("one two three")}, JSON)
        .will_respond_with(200)
        .with_body({"count": match.int(3)}, JSON)
    )


def completion(pact: Pact) -> None:
    (
        _completion(pact, "a completion", READY, "ORCH-3055", "OC-ADAPT-5020", "OC-ADAPT-5018")
        .will_respond_with(200)
        .with_body(FRAMES, EVENTS)
        .with_matching_rules(rules.body_rules(FRAME_RULES))
    )


def failing(pact: Pact) -> None:
    (
        _completion(pact, "a completion that fails", FAILING, "OC-ADAPT-5030")
        .will_respond_with(200)
        .with_body(BROKEN, EVENTS)
        .with_matching_rules(rules.body_rules(BROKEN_RULES))
    )


def too_long(pact: Pact) -> None:
    prompt = match.like("one two three", generator=generate.provider_state("${too_long_prompt}"))
    _refused(pact, "a completion of a prompt that is too long", TOO_LONG, 400, "BadRequestError", prompt=prompt)


def unknown(pact: Pact) -> None:
    _refused(pact, "a completion by an unknown model", UNKNOWN, 404, "NotFoundError", model=NO_MODEL)


def busy(pact: Pact) -> None:
    _refused(pact, "a completion too many", BUSY, 429, "TooManyRequests")


def embedding(pact: Pact) -> None:
    row = {"index": match.int(0), "embedding": match.each_like(match.number(0.5), min=1)}
    (
        asked(pact, "texts to embed", EMBEDS, "OC-ADAPT-5019", "OC-ADAPT-5020")
        .with_request("POST", "/v1/embeddings")
        .with_body({"model": _served(), "input": ["one two"], "encoding_format": "float"}, JSON)
        .will_respond_with(200)
        .with_body({"data": match.each_like(row, min=1), "usage": {"prompt_tokens": match.int(2)}}, JSON)
    )


def metrics(pact: Pact) -> None:
    (
        asked(pact, "a question for its metrics", READY, "ORCH-3055")
        .with_request("GET", "/metrics")
        .will_respond_with(200)
        .with_body("vllm:num_requests_running 1.0\nvllm:kv_cache_usage_perc 0.5\n", METRICS_TYPE)
        .with_matching_rules(
            rules.body_rules([rules.sample("vllm:num_requests_running"), rules.sample(*KV_RATIO_NAMES)])
        )
    )


def _served() -> object:
    """The name of the model that is served, which the verifier is told."""
    return match.like(MODEL, generator=generate.provider_state("${model}"))


def _refused(pact: Pact, description: str, given: str, status: int, name: str, **body: object) -> None:
    (
        _completion(pact, description, given, "OC-ADAPT-5015", **body)
        .will_respond_with(status)
        .with_body({"error": {"type": match.str(name), "code": match.int(status)}}, JSON)
    )


def _completion(pact: Pact, description: str, given: str, *requirements: str, **other: object) -> HttpInteraction:
    body = {
        "model": _served(),
        "prompt": match.str("one two three"),
        "max_tokens": match.int(3),
        "stream": True,
        "stream_options": {"include_usage": True, "continuous_usage_stats": True},
        "return_token_ids": True,
        "seed": match.int(7),
        "temperature": match.number(0.8),
        "top_k": match.int(40),
        "top_p": match.number(0.95),
        "min_p": match.number(0.05),
        "repetition_penalty": match.number(1.0),
        **other,
    }
    return asked(pact, description, given, *requirements).with_request("POST", "/v1/completions").with_body(body, JSON)


async def _properties(engine: Engine) -> object:
    facts = await engine.properties()
    return facts.engine_version, facts.ctx_max


CONSUMER = Consumer(
    provider="vllm",
    adapter=partial(Vllm, model_name=MODEL),
    cases=(
        Case("ready", [ready], lambda engine: engine.readiness(), "ready"),
        Case("dead", [dead], lambda engine: engine.readiness(), "down"),
        Case("properties", [version, models], _properties, ("0.1", 1024)),
        Case("tokens", [tokens], lambda engine: engine.count_tokens("one two three"), 3),
        Case("completion", [completion], stream, [Tokens(("a", "b")), Finished("length", 4, 2)]),
        Case("too-long", [too_long], stream, EngineRefusedError),
        Case("unknown-model", [unknown], stream, EngineRefusedError, partial(Vllm, model_name=NO_MODEL)),
        Case("busy", [busy], stream, EngineBusyError),
        Case("failing", [failing], stream, EngineFaultError),
        Case("embedding", [embedding], lambda engine: engine.embed(("one two",)), Vectors(((0.5,),), 2)),
        Case("metrics", [metrics], lambda engine: engine.usage(), Usage(0.5, 1)),
    ),
)

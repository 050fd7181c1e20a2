"""What the llama.cpp adapter asks of llama-server, and needs in its answers."""

from contextlib import aclosing

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
    Scores,
    Tokens,
    Usage,
    Vectors,
)
from reference_server.engines.llamacpp import LlamaCpp
from reference_server.engines.tests.pacts.consumer import (
    EMBEDS,
    EVENTS,
    FAILING,
    JSON,
    LOADING,
    METRICS,
    METRICS_TYPE,
    READY,
    REQUEST,
    TOO_LONG,
    Case,
    Consumer,
    stream,
)

SLOTS = "slots are shown"
RERANKS = "the model reranks"
ERROR = {"error": {"code": match.int(400), "type": match.str("exceed_context_size_error")}}

FRAMES = (
    'data: {"content":"a","tokens_predicted":1,"stop":false}\n\n'
    'data: {"content":"b","tokens_predicted":2,"stop":false}\n\n'
    'data: {"content":"","tokens_predicted":3,"stop":true,"stop_type":"limit","tokens_evaluated":4,'
    '"timings":{"cache_n":0}}\n\n'
)
FRAME_RULES = (
    rules.every_frame("content", rules.STRING, what="a text"),
    rules.every_frame("tokens_predicted", rules.COUNT, what="the tokens so far"),
    rules.earlier_frames("stop", rules.FALSE, what="false"),
    rules.last_frame("stop", rules.TRUE, what="true"),
    rules.last_frame("stop_type", rules.one_of("none", "eos", "limit", "word"), what="why it ended"),
    rules.last_frame("tokens_evaluated", rules.COUNT, what="the prompt's tokens"),
    rules.last_frame("timings.cache_n", rules.COUNT, what="the prompt's tokens that were cached"),
)
BROKEN = 'data: {"error":{"type":"server_error"}}\n\n'
BROKEN_RULES = (rules.last_frame("error.type", rules.STRING, what="the error's name"),)


def ready(pact: Pact) -> None:
    asked(pact, "a question for its health", READY, "ORCH-3054").with_request("GET", "/health").will_respond_with(200)


def loading(pact: Pact) -> None:
    asked(pact, "a question for its health while it loads", LOADING, "ORCH-3054").with_request(
        "GET", "/health"
    ).will_respond_with(503)


def properties(pact: Pact) -> None:
    (
        asked(pact, "a question for its properties", READY, "OC-ADAPT-5011")
        .with_request("GET", "/props")
        .will_respond_with(200)
        .with_body(
            {
                "build_info": SomeText("b1-0a"),
                "total_slots": match.int(1),
                "model_path": match.str("/models/m.gguf"),
                "default_generation_settings": {"n_ctx": match.int(2048)},
            },
            JSON,
        )
    )


def tokens(pact: Pact) -> None:
    (
        asked(pact, "a text to count the tokens of", READY, "OC-ADAPT-5001")
        .with_request("POST", "/tokenize")
        .with_body({"content": match.str("one two three"), "add_special": True}, JSON)
        .will_respond_with(200)
        .with_body({"tokens": match.each_like(match.int(1), min=1)}, JSON)
    )


def completion(pact: Pact) -> None:
    _completion(pact, "a completion", READY, "ORCH-3054", "OC-ADAPT-5018").will_respond_with(200).with_body(
        FRAMES, EVENTS
    ).with_matching_rules(rules.body_rules(FRAME_RULES))


def failing(pact: Pact) -> None:
    _completion(pact, "a completion that fails", FAILING, "OC-ADAPT-5013").will_respond_with(200).with_body(
        BROKEN, EVENTS
    ).with_matching_rules(rules.body_rules(BROKEN_RULES))


def too_early(pact: Pact) -> None:
    _completion(pact, "a completion while it loads", LOADING, "OC-ADAPT-5015").will_respond_with(503)


def too_long(pact: Pact) -> None:
    _completion(
        pact, "a completion of a prompt that is too long", TOO_LONG, "OC-ADAPT-5015", prompt="${too_long_prompt}"
    ).will_respond_with(400).with_body(ERROR, JSON)


def slots(pact: Pact) -> None:
    (
        asked(pact, "a question for its slots", SLOTS, "OC-ADAPT-5014")
        .with_request("GET", "/slots")
        .will_respond_with(200)
        .with_body(match.each_like({"id": match.int(0), "is_processing": match.like(False)}, min=1), JSON)
    )


def embedding(pact: Pact) -> None:
    row = {"index": match.int(0), "embedding": match.each_like(match.each_like(match.number(0.5), min=1), min=1)}
    (
        asked(pact, "texts to embed", EMBEDS, "OC-ADAPT-5019")
        .with_request("POST", "/embedding")
        .with_body({"content": ["one two"]}, JSON)
        .will_respond_with(200)
        .with_body(match.each_like(row, min=1), JSON)
    )


def rerank(pact: Pact) -> None:
    rows = match.each_like({"index": match.int(0), "relevance_score": match.number(0.5)}, min=1)
    (
        asked(pact, "documents to rank", RERANKS, "OC-ADAPT-5019")
        .with_request("POST", "/rerank")
        .with_body({"query": match.str("one"), "documents": ["one two"]}, JSON)
        .will_respond_with(200)
        .with_body({"results": rows, "usage": {"prompt_tokens": match.int(2)}}, JSON)
    )


def metrics(pact: Pact) -> None:
    (
        asked(pact, "a question for its metrics", METRICS, "OC-ADAPT-5001")
        .with_request("GET", "/metrics")
        .will_respond_with(200)
        .with_body("llamacpp:requests_processing 1\n", METRICS_TYPE)
        .with_matching_rules(rules.body_rules([rules.sample("llamacpp:requests_processing")]))
    )


def _completion(
    pact: Pact, description: str, given: str, *requirements: str, prompt: str | None = None
) -> HttpInteraction:
    text = match.like("one two three", generator=generate.provider_state(prompt)) if prompt else match.str("one two")
    body = {
        "id_slot": match.int(-1),
        "prompt": text,
        "n_predict": match.int(3),
        "stream": True,
        "seed": match.int(7),
        "cache_prompt": match.bool(False),
        "temperature": match.number(0.8),
        "top_k": match.int(40),
        "top_p": match.number(0.95),
        "min_p": match.number(0.05),
        "repeat_penalty": match.number(1.0),
    }
    return asked(pact, description, given, *requirements).with_request("POST", "/completion").with_body(body, JSON)


async def _properties(engine: Engine) -> object:
    facts = await engine.properties()
    return facts.engine_version, facts.ctx_max, facts.slots_total


async def _stop(engine: Engine) -> object:
    await engine.properties()  # tells how many slots there are, and so which one the task gets
    async with aclosing(engine.complete(REQUEST)) as events:
        first = await anext(events)
    await engine.confirm_stopped(REQUEST.task_id)
    await engine.close()
    return type(first)


CONSUMER = Consumer(
    provider="llamacpp",
    adapter=LlamaCpp,
    cases=(
        Case("ready", [ready], lambda engine: engine.readiness(), "ready"),
        Case("loading", [loading], lambda engine: engine.readiness(), "loading"),
        Case("properties", [properties], _properties, ("b1-0a", 2048, 1)),
        Case("tokens", [tokens], lambda engine: engine.count_tokens("one two three"), 1),
        Case("completion", [completion], stream, [Tokens(("a", "b", "")), Finished("length", 4, 3)]),
        Case("too-early", [too_early], stream, EngineBusyError),
        Case("too-long", [too_long], stream, EngineRefusedError),
        Case("failing", [failing], stream, EngineFaultError),
        Case("stop", [properties, completion, slots], _stop, Tokens),
        Case("embedding", [embedding, tokens], lambda engine: engine.embed(("one two",)), Vectors(((0.5,),), 1)),
        Case("rerank", [rerank], lambda engine: engine.rerank("one", ("one two",)), Scores((0.5,), 2)),
        Case("metrics", [metrics], lambda engine: engine.usage(), Usage(slots_active=1)),
    ),
)

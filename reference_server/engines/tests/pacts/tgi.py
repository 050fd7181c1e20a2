"""What the TGI adapter asks of TGI's router, and needs in its answers."""

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
)
from reference_server.engines.tests.pacts.consumer import (
    BUSY,
    EVENTS,
    FAILING,
    JSON,
    LOADING,
    METRICS_TYPE,
    READY,
    TOO_LONG,
    Case,
    Consumer,
    stream,
)
from reference_server.engines.tgi import Tgi

FRAMES = (
    'data:{"token":{"text":"a","special":false}}\n\n'
    'data:{"token":{"text":"","special":true},"generated_text":"a",'
    '"details":{"finish_reason":"eos_token","generated_tokens":2,"input_length":4}}\n\n'
)
FRAME_RULES = (
    rules.every_frame("token.text", rules.STRING, what="a text"),
    rules.every_frame("token.special", rules.BOOLEAN, what="whether it is no text"),
    rules.no_earlier_frame("generated_text", rules.STRING, what="the whole text"),
    rules.last_frame("generated_text", rules.STRING, what="the whole text"),
    rules.last_frame(
        "details.finish_reason", rules.one_of("length", "eos_token", "stop_sequence"), what="why it ended"
    ),
    rules.last_frame("details.generated_tokens", rules.COUNT, what="the tokens of the text"),
    rules.last_frame("details.input_length", rules.COUNT, what="the prompt's tokens"),
)
BROKEN = 'data:{"error":"Request failed","error_type":"generation"}\n\n'
BROKEN_RULES = (
    rules.last_frame("error", rules.STRING, what="a text"),
    rules.last_frame("error_type", rules.one_of("generation", "incomplete_generation"), what="the error's name"),
)


def ready(pact: Pact) -> None:
    asked(pact, "a question for its health", READY, "ORCH-3056").with_request("GET", "/health").will_respond_with(200)


def loading(pact: Pact) -> None:
    asked(pact, "a question for its health while it loads", LOADING, "ORCH-3056").with_request(
        "GET", "/health"
    ).will_respond_with(503)


def info(pact: Pact) -> None:
    (
        asked(pact, "a question for its properties", READY, "OC-ADAPT-5040")
        .with_request("GET", "/info")
        .will_respond_with(200)
        .with_body(
            {
                "version": SomeText("3.0"),
                "max_total_tokens": match.int(2048),
                "max_concurrent_requests": match.int(128),
            },
            JSON,
        )
    )


def tokens(pact: Pact) -> None:
    (
        asked(pact, "a text to count the tokens of", READY, "ORCH-3056")
        .with_request("POST", "/tokenize")
        .with_body({"inputs": match.str("one two three")}, JSON)
        .will_respond_with(200)
        .with_body(match.each_like({"id": match.int(1)}, min=1), JSON)
    )


def completion(pact: Pact) -> None:
    (
        _completion(pact, "a completion", READY, "ORCH-3056", "OC-ADAPT-5040", "OC-ADAPT-5018")
        .will_respond_with(200)
        .with_body(FRAMES, EVENTS)
        .with_matching_rules(rules.body_rules(FRAME_RULES))
    )


def failing(pact: Pact) -> None:
    (
        _completion(pact, "a completion that fails", FAILING, "OC-ADAPT-5050")
        .will_respond_with(200)
        .with_body(BROKEN, EVENTS)
        .with_matching_rules(rules.body_rules(BROKEN_RULES))
    )


def too_long(pact: Pact) -> None:
    prompt = match.like("one two three", generator=generate.provider_state("${too_long_prompt}"))
    (
        _completion(pact, "a completion of a prompt that is too long", TOO_LONG, "OC-ADAPT-5050", prompt=prompt)
        .will_respond_with(422)
        .with_body({"error": match.str("too long"), "error_type": "validation"}, JSON)
    )


def busy(pact: Pact) -> None:
    (
        _completion(pact, "a completion too many", BUSY, "OC-ADAPT-5050")
        .will_respond_with(429)
        .with_body({"error": match.str("Model is overloaded"), "error_type": "overloaded"}, JSON)
    )


def metrics(pact: Pact) -> None:
    (
        asked(pact, "a question for its metrics", READY, "ORCH-3056")
        .with_request("GET", "/metrics")
        .will_respond_with(200)
        .with_body("tgi_batch_current_size 1\n", METRICS_TYPE)
        .with_matching_rules(rules.body_rules([rules.sample("tgi_batch_current_size")]))
    )


def _completion(pact: Pact, description: str, given: str, *requirements: str, prompt: object = None) -> HttpInteraction:
    parameters = {
        "max_new_tokens": match.int(3),
        "do_sample": True,
        "seed": match.int(8),
        "temperature": match.number(0.8),
        "top_k": match.int(40),
        "top_p": match.number(0.95),
        "repetition_penalty": match.number(1.0),
        "return_full_text": False,
        "details": True,
    }
    body = {"inputs": prompt or match.str("one two three"), "parameters": parameters, "stream": True}
    return asked(pact, description, given, *requirements).with_request("POST", "/generate_stream").with_body(body, JSON)


async def _properties(engine: Engine) -> object:
    facts = await engine.properties()
    return facts.engine_version, facts.ctx_max, facts.slots_total


CONSUMER = Consumer(
    provider="tgi",
    adapter=Tgi,
    cases=(
        Case("ready", [ready], lambda engine: engine.readiness(), "ready"),
        Case("loading", [loading], lambda engine: engine.readiness(), "loading"),
        Case("properties", [info], _properties, ("3.0", 2048, 128)),
        Case("tokens", [tokens], lambda engine: engine.count_tokens("one two three"), 1),
        Case("completion", [completion], stream, [Tokens(("a", "")), Finished("stop", 4, 2)]),
        Case("too-long", [too_long], stream, EngineRefusedError),
        Case("busy", [busy], stream, EngineBusyError),
        Case("failing", [failing], stream, EngineFaultError),
        Case("metrics", [metrics], lambda engine: engine.usage(), Usage(slots_active=1)),
    ),
)

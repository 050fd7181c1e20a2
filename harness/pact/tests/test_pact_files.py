"""The pact files themselves: each example satisfies its own rules, by the verifier that vendors use.

The consumer side of Pact never looks at a rule: a wrong one would show at the first vendor.
"""

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.outcome import Outcome
from harness.pact.pact_file import ENGINES, Interaction, PactFile, load, parse
from harness.pact.verify import Verdict, verify
from harness.tests.tiny_server import TinyServer

RECORDED = Path(__file__).parents[3] / "reference_server/engines/tests/llama_server_b11434.sse"


@contextmanager
def replaying(interaction: Interaction, *, body: str | None = None) -> Iterator[str]:
    """A provider that answers with the interaction's own example, or with another body."""
    response = interaction.raw["response"]
    content = response.get("body", {}).get("content", "")
    text = body if body is not None else content if isinstance(content, str) else json.dumps(content)
    headers = {name: values[0] for name, values in response.get("headers", {}).items()}
    data = text.encode()
    if headers.get("Transfer-Encoding") == "chunked":
        data = b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data)
    else:
        headers["Content-Length"] = str(len(data))
    head = f"HTTP/1.1 {response['status']} x\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with TinyServer(lambda sock, _: sock.sendall(head.encode() + b"Connection: close\r\n\r\n" + data)) as server:
        yield server.url


def verdict(pact: PactFile, interaction: Interaction, *, body: str | None = None) -> Verdict:
    values = dict.fromkeys(interaction.names, "m")
    with replaying(interaction, body=body) as url:
        return verify(pact, interaction, url=url, values=values, api_key=None, limit_s=10)


EXAMPLES = [
    pytest.param(load(name), interaction, id=f"{name}-{interaction.description}")
    for name in ENGINES
    for interaction in load(name).interactions
]


@pytest.mark.req("OC-TEST-7030")
@pytest.mark.parametrize(("pact", "interaction"), EXAMPLES)
def test_an_example_satisfies_its_own_rules(pact: PactFile, interaction: Interaction) -> None:
    assert verdict(pact, interaction) == Verdict(interaction, Outcome.PASS)


def changed(name: str, description: str, old: str, new: str) -> tuple[PactFile, Interaction]:
    """A pact with other rules."""
    raw = copy.deepcopy(dict(load(name).raw))
    (entry,) = [entry for entry in raw["interactions"] if entry["description"] == description]
    rules = entry["response"]["matchingRules"]["body"]["$"]["matchers"]
    rules[0]["regex"] = rules[0]["regex"].replace(old, new)
    pact = parse("changed", raw)
    return pact, next(one for one in pact.interactions if one.description == description)


@pytest.mark.req("OC-TEST-7006")
@pytest.mark.parametrize(
    ("old", "new"),
    [pytest.param(r"\A", r"\ANOPE", id="rule-that-nothing-fits"), pytest.param(r"\z", r"(", id="rule-that-is-none")],
)
def test_a_rule_that_its_example_does_not_satisfy_is_caught(old: str, new: str) -> None:
    assert Outcome.FAIL == verdict(*changed("llamacpp", "a completion", old, new)).outcome


def interaction_of(name: str, description: str) -> tuple[PactFile, Interaction]:
    pact = load(name)
    return pact, next(one for one in pact.interactions if one.description == description)


@pytest.mark.req("ORCH-3054", "OC-TEST-7030")
def test_a_recorded_stream_of_a_real_llama_server_satisfies_the_rules() -> None:
    recorded = RECORDED.read_text(encoding="utf-8")

    assert Outcome.PASS == verdict(*interaction_of("llamacpp", "a completion"), body=recorded).outcome


FRAME = {"content": 'a "content": 7', "tokens_predicted": 1, "stop": False}
LAST = {"content": "", "tokens_predicted": 2, "stop": True, "stop_type": "eos", "tokens_evaluated": 3}
TIMINGS = {"timings": {"cache_n": 0}}


def streamed(*frames: Any) -> str:
    return "".join(f"data: {json.dumps(frame, ensure_ascii=False)}\n\n" for frame in frames)


@pytest.mark.req("OC-TEST-7030")
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(streamed(FRAME, {**TIMINGS, **LAST}), id="members-in-another-order"),
        pytest.param(streamed({**LAST, **TIMINGS}), id="no-token"),
        pytest.param(streamed(FRAME, {**LAST, **TIMINGS}).replace("\n", "\r\n"), id="crlf"),
        pytest.param(": a comment\n\nid: 7\n" + streamed(FRAME, {**LAST, **TIMINGS}), id="comments-and-fields"),
        pytest.param(streamed({**FRAME, "x": {"y": [1.5e3, None, {"z": "€ 🦙 \\"}]}}, {**LAST, **TIMINGS}), id="more"),
    ],
)
def test_what_a_parser_takes_for_the_same_passes(body: str) -> None:
    assert Outcome.PASS == verdict(*interaction_of("llamacpp", "a completion"), body=body).outcome


@pytest.mark.req("OC-TEST-7006", "OC-TEST-7031")
@pytest.mark.parametrize(
    ("body", "told"),
    [
        pytest.param("", "was empty", id="empty"),
        pytest.param(streamed(FRAME), "the last frame has stop", id="no-final-frame"),
        pytest.param(streamed({**LAST, **TIMINGS}, FRAME), "every frame but the last has stop", id="frame-after-end"),
        pytest.param(streamed({"x": FRAME, "stop": False}, {**LAST, **TIMINGS}), "has content", id="deeper"),
        pytest.param(streamed({**FRAME, "content": None}, {**LAST, **TIMINGS}), "has content", id="null"),
        pytest.param(streamed(FRAME, {**LAST, **TIMINGS})[:-1], "every frame has content", id="unfinished"),
        pytest.param(streamed(FRAME) + "data: {oops\n\n" + streamed({**LAST, **TIMINGS}), "has content", id="no-json"),
    ],
)
def test_what_is_not_the_stream_fails_and_says_why(body: str, told: str) -> None:
    found = verdict(*interaction_of("llamacpp", "a completion"), body=body)

    assert Outcome.FAIL == found.outcome
    assert told in " ".join(difference.text for difference in found.differences)

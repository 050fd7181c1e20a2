"""Engines asked past every orchestrator: their own answer to a prompt and a seed, with log-probabilities.

The request is the one that sampler profile v1 stands for, so that the answer is what an orchestrator has to stream.

Source: ORCH-3050, ORCH-3051, ORCH-3058.
"""

import codecs
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import httpx

from harness.checks.metrics import parse
from harness.sampler_profile import PROFILES

PROFILE = "v1"
ANSWER_S = 120.0  # some dozens of tokens on a small CPU that other work shares
SEEDS_LLAMACPP = 2**32 - 1  # the value itself means "any seed" there
SEEDS_VLLM = 2**63
TOP = 20  # candidates for each token; both engines give as many as that


class EngineDoesNotTellError(Exception):
    """An engine did not answer, or not with what its API says; the text says which and what."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A token that could have come.

    Attributes:
        id: -1 where the engine tells only the text.
        logprob: of the model, before sampling; in nats, 0 or less.
    """

    id: int
    text: str
    logprob: float


@dataclass(frozen=True, slots=True)
class Step:
    """One token, and those that were likeliest in its place, the likeliest first."""

    chosen: Candidate
    top: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Decoded:
    """An engine's own answer.

    Attributes:
        pieces: the text of each token; a piece of an unfinished character is empty, the next has the whole.
        ids: of all tokens, as far as the engine tells them.
        steps: one for each token, but for those that llama-server leaves out (the end of a text, parts of a character);
            empty where the engine was not asked for log-probabilities.
    """

    text: str
    pieces: tuple[str, ...]
    steps: tuple[Step, ...]
    tokens_in: int
    tokens_out: int
    finish: str
    decode_ms: float | None = None
    ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Counters:
    """What an engine has counted since it was started."""

    tokens_in: int
    tokens_out: int


class DirectEngine(Protocol):
    """One engine, spoken to in its own API. Every call may raise `EngineDoesNotTellError`."""

    url: str

    def version(self) -> str:
        """What it calls itself."""

    def decode(
        self, prompt: str | Sequence[int], *, seed: int | None, max_tokens: int, top: int = 0, reuse: bool = False
    ) -> Decoded:
        """Decode under sampler profile v1.

        Args:
            prompt: text, or token ids.
            seed: None = any, another each time.
            top: how many candidates to tell for each token; 0 = no log-probabilities at all.
            reuse: a cached prefix of the prompt may be used.
        """

    def tokenize(self, prompt: str) -> list[int]:
        """The ids of a prompt's tokens, as a completion would count them."""

    def counters(self) -> Counters:
        """Its own sums, from `/metrics`."""


class LlamaCppDirect:
    """llama-server's native API."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def version(self) -> str:
        """`build_info` of `/props`."""
        return str(_member(_json("GET", f"{self.url}/props"), "build_info"))

    def decode(
        self, prompt: str | Sequence[int], *, seed: int | None, max_tokens: int, top: int = 0, reuse: bool = False
    ) -> Decoded:
        """`POST /completion`, in one piece."""
        body = {
            **PROFILES[PROFILE],
            "prompt": prompt if isinstance(prompt, str) else list(prompt),
            "n_predict": max_tokens,
            "seed": SEEDS_LLAMACPP if seed is None else seed % SEEDS_LLAMACPP,
            "cache_prompt": reuse,
            "n_probs": top,
            "return_tokens": True,
            "stream": False,
        }
        answer = _json("POST", f"{self.url}/completion", body)
        steps = tuple(_llamacpp_steps(answer.get("completion_probabilities") or []))
        finish = "length" if _member(answer, "stop_type") == "limit" else "stop"
        return Decoded(
            text=_without_half_a_character(str(_member(answer, "content")), finish),
            pieces=tuple(_pieces(answer.get("completion_probabilities") or [])),
            steps=steps,
            tokens_in=int(_member(answer, "tokens_evaluated")),
            tokens_out=int(_member(answer, "tokens_predicted")),
            finish=finish,
            decode_ms=(answer.get("timings") or {}).get("predicted_ms"),
            ids=tuple(answer.get("tokens") or ()),
        )

    def tokenize(self, prompt: str) -> list[int]:
        """`POST /tokenize`."""
        answer = _json("POST", f"{self.url}/tokenize", {"content": prompt, "add_special": True})
        return [int(token) for token in _member(answer, "tokens")]

    def counters(self) -> Counters:
        """`llamacpp:prompt_tokens_total` and `llamacpp:tokens_predicted_total`."""
        return _counters(self.url, "llamacpp:prompt_tokens_total", "llamacpp:tokens_predicted_total")


class VllmDirect:
    """vLLM's completions."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def version(self) -> str:
        """`/version`."""
        return str(_member(_json("GET", f"{self.url}/version"), "version"))

    def decode(
        self,
        prompt: str | Sequence[int],
        *,
        seed: int | None,
        max_tokens: int,
        top: int = 0,
        reuse: bool = False,  # noqa: ARG002 - its prefix cache is a setting of the server, not of a request
    ) -> Decoded:
        """`POST /v1/completions`, in one piece."""
        profile = dict(PROFILES[PROFILE])
        profile["repetition_penalty"] = profile.pop("repeat_penalty")
        body = {
            **profile,
            "model": self._model(),
            "prompt": prompt if isinstance(prompt, str) else list(prompt),
            "max_tokens": max_tokens,
            "seed": None if seed is None else seed % SEEDS_VLLM,
            "return_token_ids": True,
            "logprobs": top or None,
        }
        answer = _json("POST", f"{self.url}/v1/completions", body)
        choice, usage = _member(answer, "choices")[0], _member(answer, "usage")
        steps = tuple(_vllm_steps(choice))
        return Decoded(
            text=str(_member(choice, "text")),
            pieces=tuple(step.chosen.text for step in steps),
            steps=steps,
            tokens_in=int(_member(usage, "prompt_tokens")),
            tokens_out=int(_member(usage, "completion_tokens")),
            finish=str(_member(choice, "finish_reason")),
            ids=tuple(choice.get("token_ids") or ()),
        )

    def tokenize(self, prompt: str) -> list[int]:
        """`POST /tokenize`."""
        answer = _json("POST", f"{self.url}/tokenize", {"model": self._model(), "prompt": prompt})
        return [int(token) for token in _member(answer, "tokens")]

    def counters(self) -> Counters:
        """`vllm:prompt_tokens_total` and `vllm:generation_tokens_total`."""
        return _counters(self.url, "vllm:prompt_tokens_total", "vllm:generation_tokens_total")

    def _model(self) -> str:
        return str(_member(_member(_json("GET", f"{self.url}/v1/models"), "data")[0], "id"))


DIRECT: Mapping[str, type[LlamaCppDirect] | type[VllmDirect]] = {"llamacpp": LlamaCppDirect, "vllm": VllmDirect}
"""Which class speaks to which engine."""


def direct(engine: str, url: str) -> DirectEngine:
    """A way to ask this engine.

    Raises:
        EngineDoesNotTellError: nobody here speaks its API.
    """
    if engine not in DIRECT:
        raise EngineDoesNotTellError(f"{engine} cannot be asked directly; {', '.join(DIRECT)} can")
    return DIRECT[engine](url)


def _without_half_a_character(text: str, finish: str) -> str:
    """What a stream of the same answer has: it never sends the beginning of a character that the limit cut off.

    In one piece llama-server (b11434) puts U+FFFD there. A model's own U+FFFD as its very last token is taken off too:
    then two equal answers are told as different, never two different ones as equal but for that.
    """
    return text.rstrip("\ufffd") if finish == "length" else text


def require_steps(engine: DirectEngine, answer: Decoded) -> None:
    """Whoever has a model tells the log-probabilities of most tokens; of text in plain letters, of nearly all.

    Raises:
        EngineDoesNotTellError: of fewer than half. llama-server leaves out the parts of a character of several tokens;
            it has at most as many as bytes, and so many tokens may be missing beside.
    """
    told = len(answer.steps)
    parts = sum(len(character.encode()) for character in answer.text if not character.isascii())
    if answer.tokens_out > 1 and told * 2 < answer.tokens_out - parts:
        raise EngineDoesNotTellError(
            f"{engine.url} gives log-probabilities of {told} tokens of {answer.tokens_out}: "
            "it has no model, or hides it"
        )


def _json(method: str, url: str, body: object = None) -> Any:
    try:
        answer = httpx.request(method, url, json=body, timeout=ANSWER_S, trust_env=False, follow_redirects=False)
        told = answer.raise_for_status().json()
    except (httpx.HTTPError, ValueError) as error:
        raise EngineDoesNotTellError(f"{method} {url}: {str(error) or type(error).__name__}") from None
    if not isinstance(told, dict):
        raise EngineDoesNotTellError(f"{method} {url}: it answered no object: is it the engine that it is taken for?")
    return told


def _member(value: Any, name: str) -> Any:
    if not isinstance(value, dict) or name not in value:
        raise EngineDoesNotTellError(f"an engine's answer has no {name}: is it the engine that it is taken for?")
    return value[name]


def _counters(url: str, tokens_in: str, tokens_out: str) -> Counters:
    try:
        answer = httpx.get(f"{url}/metrics", timeout=ANSWER_S, trust_env=False).raise_for_status()
        scrape = parse(answer.text)
    except (httpx.HTTPError, ValueError) as error:
        raise EngineDoesNotTellError(f"GET {url}/metrics: {error}") from None
    names = {sample.name for sample in scrape.samples}
    if missing := {tokens_in, tokens_out} - names:
        raise EngineDoesNotTellError(f"{url}/metrics has no {', '.join(sorted(missing))}")
    return Counters(int(scrape.total(tokens_in)), int(scrape.total(tokens_out)))


def _llamacpp_steps(entries: Sequence[Mapping[str, Any]]) -> Iterator[Step]:
    for entry in entries:
        top = [Candidate(int(c["id"]), str(c["token"]), float(c["logprob"])) for c in entry.get("top_logprobs") or []]
        yield Step(Candidate(int(entry["id"]), str(entry["token"]), float(entry["logprob"])), tuple(top))


def _pieces(entries: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The text that each token's bytes complete."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for entry in entries:
        yield decoder.decode(bytes(entry["bytes"]))


def _vllm_steps(choice: Mapping[str, Any]) -> Iterator[Step]:
    told = choice.get("logprobs")
    if not told:
        return
    ids = choice.get("token_ids") or [-1] * len(told["tokens"])
    for identifier, text, logprob, top in zip(
        ids, told["tokens"], told["token_logprobs"], told["top_logprobs"], strict=True
    ):
        candidates = [Candidate(-1, str(t), float(p)) for t, p in sorted((top or {}).items(), key=lambda kv: -kv[1])]
        yield Step(Candidate(int(identifier), str(text), float(logprob)), tuple(candidates))

"""Runs the haiku: tasks through OrchQueue v1 only, then the same asked of the engine directly.

Source: ORCH-3051, OC-TEST-7064.
"""

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from harness.checks.metrics import Scrape, parse
from harness.client import Client, fresh_id
from harness.engines.direct import TOP, Counters, Decoded, DirectEngine, EngineDoesNotTellError, Step, require_steps
from harness.haiku.facts import Answer, Asked, Facts, Reread, in_words
from harness.history import History, now_ms
from harness.outcome import UNMET
from harness.service import Service
from harness.target import CannotRunError, Target

TOKENS = 32
DEADLINE_MS = 600_000
END_MS = 120_000
COUNTED_MS = 5_000  # counters may follow the last frame by so much
SEED_BITS = 31
LIKELY = 8  # a token among so many is told again when the engine reads its answer; a rare one may not be
CONSONANTS, VOWELS = "bcdfghjklmnprstvz", "aeiou"

Tell = Callable[[str], None]


def ask() -> tuple[Asked, ...]:
    """Two fresh nonces with one seed, and a third with another."""
    minute = in_words(datetime.now(UTC).minute)
    seeds = [secrets.randbits(SEED_BITS)] * 2 + [secrets.randbits(SEED_BITS)]
    return tuple(_asked(_nonce(), minute, seed) for seed in seeds)


def _asked(nonce: str, minute: str, seed: int) -> Asked:
    return Asked(nonce, f"A haiku about a queue, at {minute} minutes past the hour, with the word {nonce}:\n", seed)


def _nonce() -> str:
    return "".join(secrets.choice(CONSONANTS) + secrets.choice(VOWELS) for _ in range(5))


def observe(target: Target, engines: Sequence[DirectEngine], *, name: str | None = None, tell: Tell) -> Facts:
    """Run the whole of it.

    Args:
        engines: all that are behind the server, so that their counters together move by what is streamed.
        name: of the engine in the server's capabilities; None = the first.
        tell: told what goes on.

    Raises:
        CannotRunError: the server or an engine does not answer.
    """
    capabilities, asked = target.capabilities(), ask()
    client = Client(target.url, token=target.token, history=History())
    try:
        service = Service.of(capabilities, name)
        server_before, engine_before = _scrape(client), _counters(engines)
        answers = []
        for number, one in enumerate(asked, 1):
            tell(f"haiku {number} of {len(asked)}, through the queue")
            answers.append(_answer(client, service, one))
        facts = Facts(
            asked=asked, answers=tuple(answers), capabilities=capabilities, engine_version=engines[0].version()
        )
        return _asked_directly(_counted(facts, client, engines, server_before, engine_before), engines[0], tell)
    except UNMET as error:
        raise CannotRunError(str(error)) from None
    except EngineDoesNotTellError as error:
        raise CannotRunError(f"the engine cannot be asked: {error}") from None
    finally:
        client.close()


def _answer(client: Client, service: Service, asked: Asked) -> Answer:
    body = {
        "task_id": fresh_id(),
        "session_id": fresh_id(),
        "workload": "completion",
        "engine": service.engine,
        "model_ref": service.model_ref,
        "ctx": service.ctx_max,
        "priority": "interactive",
        "max_tokens": TOKENS,
        "deadline_ms": DEADLINE_MS,
        "determinism": "strict",
        "seed": asked.seed,
        "prompt": asked.prompt,
    }
    sent_ms = now_ms()
    admitted = client.submit(body)
    if admitted.status != 202:
        return Answer(started={}, trouble=f"not admitted: {admitted}")
    reader = client.start_stream(str(body["task_id"]))
    try:
        client.read_to_end([reader], deadline_ms=END_MS)
    except UNMET as error:
        return Answer(started={}, trouble=str(error))
    stream, last = reader.record, reader.record.terminal
    started = stream.frames[0].payload if stream.frames else None
    if last is None or last.event != "end" or not isinstance(started, dict):
        return Answer(started={}, trouble=f"{stream}{f': {last.data}' if last is not None else ''}")
    told: dict[str, Any] = {}
    for frame in [*stream.of("metrics"), last]:
        told |= {k: v for k, v in frame.payload.items() if k in {"tokens_in", "tokens_out", "decode_ms"}}
    return Answer(
        text=stream.text,
        frames=len(stream.tokens),
        tokens_in=told.get("tokens_in"),
        tokens_out=int(told["tokens_out"]),
        observed_ms=last.at_ms - sent_ms,
        decode_ms=float(told["decode_ms"]),
        started=started,
    )


def _counted(
    facts: Facts, client: Client, engines: Sequence[DirectEngine], before: Scrape, engine_before: Counters
) -> Facts:
    """With how far the counters moved; they are waited for, because some follow the last frame."""
    tokens_out = sum(answer.tokens_out for answer in facts.answers)
    now = _counters(engines)

    def have_all_moved() -> bool:
        nonlocal now
        now = _counters(engines)
        moved = now.tokens_out - engine_before.tokens_out
        server = _scrape(client).total("tokens_out_total") - before.total("tokens_out_total")
        return min(moved, server) >= tokens_out

    try:
        client.wait_until(have_all_moved, deadline_ms=COUNTED_MS, what="the counters")
    except UNMET:
        now = _counters(engines)  # they did not come, which is what the checks will say
    after = _scrape(client)
    grown = {n: int(after.total(n) - before.total(n)) for n in ("tokens_in_total", "tokens_out_total")}
    return replace(
        facts,
        engine_moved=Counters(now.tokens_in - engine_before.tokens_in, now.tokens_out - engine_before.tokens_out),
        server_moved=Counters(grown["tokens_in_total"], grown["tokens_out_total"]),
        tasks_started=int(after.total("tasks_started_total") - before.total("tasks_started_total")),
    )


def _asked_directly(facts: Facts, engine: DirectEngine, tell: Tell) -> Facts:
    """With the engine's own answers, their time, and some of their tokens read again."""
    own: list[Decoded] = []
    own_ms: list[float] = []
    try:
        for number, one in enumerate(facts.asked, 1):
            tell(f"haiku {number} of {len(facts.asked)}, asked of the engine")
            began_ms = now_ms()
            own.append(engine.decode(one.prompt, seed=one.seed, max_tokens=TOKENS, top=TOP))
            require_steps(engine, own[-1])
            own_ms.append(own[-1].decode_ms or now_ms() - began_ms)
        read = (tuple(_reread(engine, *pair)) for pair in zip(facts.asked, own, strict=True))
        reread = next(filter(None, read), ())  # of one that does not begin with a character of several tokens
    except EngineDoesNotTellError as error:
        return replace(facts, own=(), own_ms=(), trouble=str(error))
    return replace(facts, own=tuple(own), own_ms=tuple(own_ms), reread=reread)


def _reread(engine: DirectEngine, asked: Asked, own: Decoded) -> Iterator[Reread]:
    """The first, the middle and the last of the likelier tokens, after everything before them."""
    before = engine.tokenize(asked.prompt)
    likely = [n for n in range(_aligned(own)) if _is_likely(own.steps[n])]
    for index in sorted({likely[0], likely[len(likely) // 2], likely[-1]}) if likely else ():
        chosen = own.steps[index].chosen
        read = engine.decode([*before, *own.ids[:index]], seed=asked.seed, max_tokens=1, top=TOP)
        found = [c.logprob for c in read.steps[0].top if chosen.id == c.id or (c.id < 0 and c.text == chosen.text)]
        yield Reread(chosen.logprob, found[0] if found else None)


def _aligned(own: Decoded) -> int:
    """How many steps are those of the tokens in the same place: a token that was left out shifts all that follow."""
    pairs = zip(own.steps, own.ids, strict=False)
    return next(
        (n for n, (step, token) in enumerate(pairs) if step.chosen.id != token), min(len(own.steps), len(own.ids))
    )


def _is_likely(step: Step) -> bool:
    return any(step.chosen.logprob >= candidate.logprob for candidate in step.top[LIKELY - 1 : LIKELY])


def _counters(engines: Sequence[DirectEngine]) -> Counters:
    told = [engine.counters() for engine in engines]
    return Counters(sum(c.tokens_in for c in told), sum(c.tokens_out for c in told))


def _scrape(client: Client) -> Scrape:
    answer = client.request("GET", "/metrics")
    if answer.status != 200:
        raise CannotRunError(f"the server's metrics cannot be read\n{answer}")
    return parse(answer.body.decode())

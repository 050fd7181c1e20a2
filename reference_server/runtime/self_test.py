"""What an engine must show before its replica counts as Ready: it decodes, and it lets go of what is broken off.

Source: ORCH-3049, OC-POOL-3001.
"""

import asyncio
from contextlib import aclosing

from reference_server.domain.replica import ReplicaFacts
from reference_server.domain.service_times import ServiceTimes
from reference_server.engines.base import Completion, Engine, EngineError, Finished, Tokens
from reference_server.runtime.clock import now_ms

PROMPT = "Hello"
DECODE_TOKENS = 4  # enough for a first figure of the time per token
CANCEL_TOKENS = 64  # so many are asked for, and broken off at the first
CANCEL_LIMIT_S = 5.0
CTX_SPARE = 16  # tokens of the prompt and of what an engine adds to it


class SelfTestError(Exception):
    """The engine came up and did not pass; the text says at what."""


async def pass_self_test(engine: Engine, task_id: str, facts: ReplicaFacts, times: ServiceTimes) -> str:
    """Decode a few tokens and note how long that took; then break a decode off and see that the engine lets go.

    An engine that does not complete answers one small request of what it offers instead.

    Returns:
        A line for the log.

    Raises:
        SelfTestError: the engine does not let go, or gives no tokens.
        EngineError: it cannot decode at all.
    """
    if "completion" not in facts.workloads:
        taken_ms = await answer_at_once(engine, facts)
        times.observe(first_token_ms=taken_ms, decode_ms=taken_ms, tokens_out=1, max_tokens=1, is_guess=True)
        return f"{' and '.join(facts.workloads)} in {taken_ms} ms"
    first_token_ms, decode_ms, tokens_out = await decode(engine, task_id)
    if tokens_out < 1:
        raise SelfTestError("the engine decoded no token")
    times.observe(
        first_token_ms=first_token_ms,
        decode_ms=decode_ms,
        tokens_out=tokens_out,
        max_tokens=max(1, tokens_out),
        is_guess=True,
    )
    cancel_ms = await _break_off(engine, f"{task_id}-cancel", min(CANCEL_TOKENS, facts.ctx_max - CTX_SPARE))
    return f"{tokens_out} tokens in {decode_ms} ms, a decode broken off in {cancel_ms} ms"


async def try_out(engine: Engine, task_id: str, facts: ReplicaFacts) -> None:
    """One small request of what the engine offers. Raises `EngineError`."""
    if "completion" in facts.workloads:
        await decode(engine, task_id)
    else:
        await answer_at_once(engine, facts)


async def answer_at_once(engine: Engine, facts: ReplicaFacts) -> int:
    """One small embedding or rerank, whichever the engine offers. Returns the milliseconds that it took."""
    started = now_ms()
    if "embedding" in facts.workloads:
        await engine.embed((PROMPT,))
    else:
        await engine.rerank(PROMPT, (PROMPT,))
    return now_ms() - started


async def decode(engine: Engine, task_id: str) -> tuple[int, int, int]:
    """Decode a few tokens.

    Returns:
        Milliseconds to the first event, milliseconds in all, and the tokens that the engine counted.
    """
    started = now_ms()
    first_token_ms: int | None = None
    tokens_out = 0
    request = Completion(task_id=task_id, prompt=PROMPT, max_tokens=DECODE_TOKENS, seed=0)
    async with aclosing(engine.complete(request)) as events:
        async for event in events:
            first_token_ms = first_token_ms if first_token_ms is not None else now_ms() - started
            if isinstance(event, Finished):
                tokens_out = event.tokens_out
    await engine.confirm_stopped(task_id)
    return first_token_ms or 0, now_ms() - started, tokens_out


async def _break_off(engine: Engine, task_id: str, max_tokens: int) -> int:
    request = Completion(task_id=task_id, prompt=PROMPT, max_tokens=max(1, max_tokens), seed=0)
    async with aclosing(engine.complete(request)) as events:
        async for event in events:
            if isinstance(event, Tokens):
                break
    closed = now_ms()
    try:
        async with asyncio.timeout(CANCEL_LIMIT_S):
            await engine.confirm_stopped(task_id)
    except (EngineError, TimeoutError) as error:
        raise SelfTestError(f"the engine does not confirm that it let go of a canceled decode: {error}") from error
    return now_ms() - closed

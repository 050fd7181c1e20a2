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

    Returns:
        A line for the log.

    Raises:
        SelfTestError: the engine does not let go, or gives no tokens.
        EngineError: it cannot decode at all.
    """
    first_token_ms, decode_ms, tokens_out = await decode(engine, task_id)
    if tokens_out < 1:
        raise SelfTestError("the engine decoded no token")
    times.observe(
        first_token_ms=first_token_ms, decode_ms=decode_ms, tokens_out=tokens_out, max_tokens=max(1, tokens_out)
    )
    cancel_ms = await _break_off(engine, f"{task_id}-cancel", min(CANCEL_TOKENS, facts.ctx_max - CTX_SPARE))
    return f"{tokens_out} tokens in {decode_ms} ms, a decode broken off in {cancel_ms} ms"


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

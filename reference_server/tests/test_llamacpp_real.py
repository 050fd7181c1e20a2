"""The llama.cpp adapter on the real llama-server with SmolLM2, started and stopped by our own supervisor."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from functools import partial

import pytest

from reference_server.config import Engines, Pool, SupervisedEngine
from reference_server.engines.base import Completion, Engine, EngineRefusedError, Finished, Tokens
from reference_server.runtime import engine_install
from reference_server.runtime.supervised import Supervised

pytestmark = [pytest.mark.real_engine, pytest.mark.timeout(120)]
PROMPT = "Write one sentence about water:"


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    """A Ready llama-server with one slot; without an install this fails and says how to install it."""
    settings = SupervisedEngine(threads=1)  # one: no waiting for each other on a busy machine
    pool, here = Pool(replicas=(settings,)), Engines(provision=False)
    launcher = Supervised(settings, install=partial(engine_install.bring, pool, here, lambda *_: None))
    try:
        await launcher.prepare()
        started = await launcher.start()
        async with asyncio.timeout(60):
            while await started.readiness() != "ready":  # noqa: ASYNC110 - the engine has no event for it
                await asyncio.sleep(0.1)
        await started.properties()
        yield started
    finally:
        await launcher.stop()


async def run(engine: Engine, *, seed: int = 7, max_tokens: int = 24, prompt: str = PROMPT) -> tuple[str, Finished]:
    request = Completion(task_id="t", prompt=prompt, max_tokens=max_tokens, seed=seed)
    pieces: list[str] = []
    async for event in engine.complete(request):
        if isinstance(event, Tokens):
            pieces += event.pieces
        else:
            assert len(pieces) == event.tokens_out
            return "".join(pieces), event
    raise AssertionError("no Finished event")


@pytest.mark.req("ORCH-3054", "ORCH-3032", "OC-CORE-1030")
async def test_real_text_comes_and_the_same_seed_gives_it_again(engine: Engine) -> None:
    first, finished = await run(engine)
    again, _ = await run(engine)
    other, _ = await run(engine, seed=8)

    assert first == again != other
    assert any(character.isalpha() for character in first)
    assert await engine.count_tokens(PROMPT) == finished.tokens_in


@pytest.mark.req("ORCH-3054")
async def test_real_multi_byte_text_arrives_whole(engine: Engine) -> None:
    text, _ = await run(engine, prompt="Repeat: 水 🦙 é 水 🦙 é 水 🦙 é\nRepeat: 水 🦙 é", max_tokens=40)

    assert "\ufffd" not in text


@pytest.mark.req("ORCH-3017", "OC-CORE-1014")
async def test_real_closing_the_stream_frees_the_slot_within_a_second(engine: Engine) -> None:
    async with aclosing(engine.complete(Completion(task_id="t", prompt=PROMPT, max_tokens=1_500, seed=1))) as events:
        await anext(events)
    async with asyncio.timeout(1):
        await engine.confirm_stopped("t")

    assert 0 == (await engine.usage()).slots_active


@pytest.mark.req("ORCH-3015")
async def test_real_a_prompt_over_the_context_is_refused(engine: Engine) -> None:
    with pytest.raises(EngineRefusedError, match="exceed_context_size_error"):
        await run(engine, prompt="water " * 3_000)


@pytest.mark.req("ORCH-3032")
async def test_real_properties_name_version_and_digest(engine: Engine) -> None:
    properties = await engine.properties()

    assert properties.engine_version.startswith("b11434")
    assert (properties.model_digest or "").startswith("sha256:")
    assert (1, 2048, False) == (properties.slots_total, properties.ctx_max, properties.features["stand_in"])

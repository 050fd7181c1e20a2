"""The embedded mock: deterministic, honest about itself, and able to misbehave."""

import asyncio
import contextlib
from contextlib import aclosing

import msgspec
import pytest

from reference_server.config import MockEngine
from reference_server.engines.base import (
    Completion,
    EngineBusyError,
    EngineError,
    EngineLostError,
    EngineRefusedError,
    Finished,
    Tokens,
)
from reference_server.engines.mock import VERSION, Mock

FAST = MockEngine(token_ms=0, prompt_ms=0)


async def pieces(mock: Mock, *, seed: int = 1, prompt: str = "hi", max_tokens: int = 64) -> tuple[str, ...]:
    request = Completion(task_id=f"t{seed}", prompt=prompt, max_tokens=max_tokens, seed=seed)
    events = [event async for event in mock.complete(request)]
    assert isinstance(events[-1], Finished)
    return sum((event.pieces for event in events if isinstance(event, Tokens)), ())


@pytest.mark.req("OC-CORE-1030")
async def test_equal_inputs_give_equal_pieces_however_they_are_paced() -> None:
    paced = Mock(MockEngine(token_ms=0.3, prompt_ms=0))

    assert await pieces(Mock(FAST)) == await pieces(paced)


@pytest.mark.req("OC-CORE-1030")
async def test_another_seed_or_prompt_gives_other_pieces() -> None:
    mock = Mock(FAST)
    streams = {await pieces(mock, seed=seed) for seed in range(64)} | {await pieces(mock, prompt="ho")}

    assert 65 == len(streams)


@pytest.mark.req("ORCH-3058")
async def test_it_says_that_it_is_a_stand_in() -> None:
    properties = await Mock(FAST).properties()

    assert VERSION.startswith("mock-")
    assert properties.features["stand_in"] is True


@pytest.mark.req("ORCH-3058")
async def test_it_dies_when_it_is_told_to() -> None:
    mock = Mock(MockEngine(token_ms=0, prompt_ms=0, die_after_tokens=3))

    with pytest.raises(EngineLostError):
        await pieces(mock)
    assert set() == mock.active


@pytest.mark.req("ORCH-3058", "ORCH-3017")
async def test_it_stalls_when_it_is_told_to_and_lets_go_when_closed() -> None:
    mock = Mock(MockEngine(token_ms=0, prompt_ms=0, stall_after_tokens=3))
    async with aclosing(mock.complete(Completion(task_id="t", prompt="p", max_tokens=9, seed=1))) as events:
        assert isinstance(await anext(events), Tokens)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await anext(events)

    await mock.confirm_stopped("t")
    assert set() == mock.active


@pytest.mark.req("OC-TEST-7036")
@pytest.mark.parametrize(
    "fault", ["die_after_tokens", "fail_after_tokens", "defect_after_tokens", "stall_after_tokens"]
)
async def test_it_tells_each_fault_as_it_injects_it_and_no_other(fault: str, caplog: pytest.LogCaptureFixture) -> None:
    settings = msgspec.structs.replace(FAST, **{fault: 3})
    await pieces(Mock(settings), max_tokens=2)
    assert [] == caplog.messages

    with contextlib.suppress(EngineError, ZeroDivisionError, TimeoutError):
        async with asyncio.timeout(0.05):
            await pieces(Mock(settings))

    assert [f"fault injected: {fault}"] == caplog.messages


@pytest.mark.req("ORCH-3058", "OC-TEST-7036")
@pytest.mark.parametrize(
    ("fault", "error"), [("busy_requests", EngineBusyError), ("refused_requests", EngineRefusedError)]
)
async def test_it_refuses_as_many_tasks_as_it_is_told_to_and_tells_each(
    fault: str, error: type[EngineError], caplog: pytest.LogCaptureFixture
) -> None:
    mock = Mock(msgspec.structs.replace(FAST, **{fault: 2}))
    for _ in range(2):
        with pytest.raises(error):
            await pieces(mock)

    assert 64 == len(await pieces(mock))
    assert [f"fault injected: {fault}"] * 2 == caplog.messages


@pytest.mark.req("ORCH-3020", "ORCH-3058")
async def test_it_tells_what_its_prefix_caches_hold_where_it_is_told_to() -> None:
    usages = [await Mock(settings).usage() for settings in (FAST, MockEngine(prefix_cache_tokens=7))]

    assert [None, 7] == [usage.prefix_cache_tokens for usage in usages]

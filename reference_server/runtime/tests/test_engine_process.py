"""An engine process of ours, with small Python programs in place of an engine."""

import asyncio
import os
import sys

import pytest

from reference_server.runtime.engine_process import LINES_KEPT, EngineProcess


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


@pytest.mark.req("OC-POOL-3003")
async def test_its_end_is_told_with_code_and_last_line() -> None:
    process = await EngineProcess.start(python("print('loading'); print('out of memory'); raise SystemExit(3)"))

    assert "the engine ended with exit code 3: out of memory" == (await process.exited()).text
    await process.stop()


@pytest.mark.req("ORCH-3001")
async def test_one_that_ignores_the_polite_signal_is_killed_with_its_children() -> None:
    code = (
        "import signal,subprocess,sys,time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    process = await EngineProcess.start(python(code))
    async with asyncio.timeout(10):
        while not process.lines:  # noqa: ASYNC110 - output of another process
            await asyncio.sleep(0.01)
    child = int(process.lines[0])
    await process.stop(grace_s=0.1)

    assert not process.is_running
    async with asyncio.timeout(5):
        while os.path.exists(f"/proc/{child}/exe"):  # noqa: ASYNC110, PTH110, ASYNC240 - a reaped child has no exe
            await asyncio.sleep(0.01)


@pytest.mark.req("OC-CORE-1008")
async def test_a_flood_of_output_is_bounded_and_does_not_block_it() -> None:
    process = await EngineProcess.start(python("print(('x' * 100 + '\\n') * 50_000)"))

    async with asyncio.timeout(20):
        assert "exit code 0" in (await process.exited()).text
    assert len(process.lines) <= LINES_KEPT
    await process.stop()


@pytest.mark.req("ORCH-3001")
async def test_giving_up_on_its_end_does_not_end_its_reading() -> None:
    process = await EngineProcess.start(python("import time; time.sleep(60)"))
    waiting = asyncio.ensure_future(process.exited())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})
    again = asyncio.ensure_future(process.exited())
    await process.stop(grace_s=5)

    async with asyncio.timeout(5):
        assert "signal SIGTERM" in (await again).text


@pytest.mark.req("ORCH-3001")
async def test_a_missing_program_is_an_error() -> None:
    with pytest.raises(OSError, match="No such file"):
        await EngineProcess.start(["/nowhere/llama-server"])

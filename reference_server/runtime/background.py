"""Long work in a thread that nobody has to wait for.

Source: ORCH-3091, ORCH-3200.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


async def in_thread(work: Callable[[], Result], *, name: str) -> Result:
    """What the work gives. Unlike `asyncio.to_thread`, work that stands still does not keep the server from ending."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[Result] = loop.create_future()

    def settle(settled: Callable[[], None]) -> None:
        if not outcome.done():
            settled()

    def run() -> None:
        try:
            result = work()
        except BaseException as caught:  # noqa: BLE001 - it is the waiting task's to judge
            error = caught
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, lambda: outcome.set_exception(error))
            return
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, lambda: outcome.set_result(result))

    threading.Thread(target=run, name=name, daemon=True).start()
    return await outcome

"""What ends an install from outside: a Ctrl-C, and a SIGTERM as well.

Source: ORCH-3204, ORCH-3207; POSIX, sh: a background job of a script starts with SIGINT ignored.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt in the block for either, also where SIGINT came ignored. For the main thread only."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""The one clock of the server: monotonic milliseconds."""

import time


def now_ms() -> int:
    """Milliseconds since some fixed moment; never goes back."""
    return time.monotonic_ns() // 1_000_000

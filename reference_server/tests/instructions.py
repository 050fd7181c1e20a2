"""Counts what the interpreter executes: the same work gives the same figure on every machine, at any load."""

import asyncio
import selectors
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

LOOP = (asyncio.__path__[0], selectors.__file__)  # the server's own loop is another, and in C


@dataclass
class Count:
    """Bytecode instructions, of Python code alone: what C code does inside one of them is not seen."""

    instructions: int = 0


@contextmanager
def counted() -> Iterator[Count]:
    """Count the instructions of every function that is entered, or goes on after an `await`, inside the block."""
    count = Count()

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if event == "opcode":
            count.instructions += 1
        elif event == "call":
            if frame.f_code.co_filename.startswith(LOOP):
                return None
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield count
    finally:
        sys.settrace(before)

"""Stand-in engines that a bench starts and stops like real ones."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from harness.engines.llamacpp import LlamaCppFormat
from harness.engines.script import Script
from harness.engines.stand_in import stand_in


@dataclass(slots=True)
class Running:
    """One that was started."""

    url: str
    stack: ExitStack

    def stop(self) -> None:
        """Stop it."""
        self.stack.close()


@dataclass(slots=True)
class StandIns:
    """Starts them.

    Args:
        script: of a start, the first of all being 1; one engine's two starts are told apart by it.
    """

    script: Callable[[int], Script]
    slots: int = 1
    starts: int = 0

    def __call__(self, number: int, folder: Path) -> Running:
        """Start one more."""
        self.starts += number == 0
        stack = ExitStack()
        return Running(stack.enter_context(stand_in(LlamaCppFormat(self.slots), self.script(self.starts))).url, stack)

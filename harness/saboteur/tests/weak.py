"""Defects that no check finds, for the tests of the proof itself."""

from harness.saboteur.defect import Wire, answers
from harness.saboteur.message import Answer, Request


@answers("OC-CTRL-2070", at="GET /healthz")
def nobody_looks_at_this(answer: Answer, request: Request, wire: Wire) -> None:
    """An answer has a header that nobody asked for."""
    answer.put("X-Planted", "1")


@answers("OC-CTRL-2070", at="GET /nowhere/at/all")
def this_never_happens(answer: Answer, request: Request, wire: Wire) -> None:
    """A path that nobody asks for is wrong."""
    answer.status = 500


@answers("OC-CTRL-2070", at="GET /healthz")
def this_one_is_broken_itself(answer: Answer, request: Request, wire: Wire) -> None:
    """The defect itself raises."""
    wire.memory["nothing"].clear()

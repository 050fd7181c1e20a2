"""A defect: one thing that a server does wrong, planted on the wire of one that does it right.

A defect is a function with the requirements that it breaks; its name is its id, its docstring the sentence that says
what is wrong. There are five kinds, by what they change:

    @answers("ORCH-2007", at="POST /v1/tasks")      an answer, or the head of a stream
    @exchanges("ORCH-2012", at="POST /v1/tasks")    a request, and then its answer: `answer = yield`
    @frames("OC-CTRL-2022")                         one frame of a stream: the frames that are sent in its place
    @logs("OC-CTRL-2050")                           a line of the server's log
    @exits("ORCH-2101")                             how the server's process ends

A planting has a memory of its own, so that a defect may depend on what passed before. It has fired when something went
over the wire that the server did not send, or that it did not get. Nothing here knows any check.
"""

import re
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from harness.saboteur.message import Answer, Frame, Request

T = TypeVar("T")

Kind = Literal["answers", "exchanges", "frames", "logs", "exits"]

STREAM = "GET /v1/tasks/*/stream"

REGISTRY: dict[str, "Defect"] = {}
"""Every defect, by id, in the order of the modules that define them."""


@dataclass
class Stream:
    """One stream that passes.

    Attributes:
        memory: of this stream.
        wire: of the planting.
    """

    request: Request
    wire: "Wire"
    memory: dict[str, Any] = field(default_factory=dict)

    def number(self, kind: str = "streams") -> int:
        """How many streams of this kind there were before this one, in the same planting."""
        if kind not in self.memory:
            self.memory[kind] = self.wire.count(kind)
        return int(self.memory[kind])


@dataclass
class Front:
    """Where one server is spoken to.

    Attributes:
        token: the last one that the server has let in.
    """

    host: str
    port: int
    token: str = ""


@dataclass
class Wire:
    """One planting of one defect.

    Attributes:
        memory: of the planting, over all that passes.
        token: the one that the server takes; empty when none was seen.
        admitted: the tasks that servers have admitted, whatever their clients were told.
        fired: how often something else went over the wire than without it.
        broken: what went wrong in the defect itself, which proves nothing about a check.
    """

    defect: "Defect"
    memory: dict[str, Any] = field(default_factory=dict)
    token: str = ""
    admitted: list[tuple[Front, str]] = field(default_factory=list)
    fired: int = 0
    broken: str = ""

    def count(self, name: str) -> int:
        """How often this was called with this name before."""
        before: int = self.memory.get(name, 0)
        self.memory[name] = before + 1
        return before

    def guarded(self, plant: Callable[[], T]) -> T | None:
        """What the defect's function gives; an exception of its own is remembered, and it changes nothing more."""
        try:
            return plant()
        except StopIteration:  # of a generator that had nothing more to change
            return None
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the defect's, and has to be told apart
            self.broken = f"{type(error).__name__}: {error}"
            return None


Exchange = Generator[Answer | None, Answer, None]


@dataclass(frozen=True, slots=True)
class Defect:
    """One defect.

    Attributes:
        breaks: the requirements that do not hold any more.
        says: what is wrong, in a sentence.
        at: where it applies: `METHOD PATH`, where `*` is one part of a path and `**` any number of them.
        plant: the function; its form depends on the kind.
    """

    id: str
    breaks: tuple[str, ...]
    says: str
    at: str
    kind: Kind
    plant: Callable[..., Any] = field(repr=False)

    def applies(self, request: Request) -> bool:
        """It concerns this request."""
        return bool(_pattern(self.at).fullmatch(request.line))


def _pattern(at: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*?)", at)
    wild = {"*": "[^/ ]+", "**": ".*"}
    return re.compile("".join(wild.get(part, re.escape(part)) for part in parts))


def _register(kind: Kind, breaks: tuple[str, ...], at: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def take(plant: Callable[..., Any]) -> Callable[..., Any]:
        identifier = plant.__name__.replace("_", "-")
        if identifier in REGISTRY:
            raise ValueError(f"two defects are called {identifier}")
        says = (plant.__doc__ or "").strip().splitlines()[0]
        REGISTRY[identifier] = Defect(identifier, breaks, says, at, kind, plant)
        return plant

    return take


Changes = Callable[[Answer, Request, Wire], None]
Exchanges = Callable[[Request, Wire], Exchange]
Frames = Callable[[Frame, Stream], Iterable[Frame]]
Lines = Callable[[dict[str, Any]], Iterator[dict[str, Any]]]
Ends = Callable[[int], int]


def answers(*breaks: str, at: str = "**") -> Callable[[Changes], Changes]:
    """A defect that changes answers in place."""
    return _register("answers", breaks, at)


def exchanges(*breaks: str, at: str = "**") -> Callable[[Exchanges], Exchanges]:
    """A defect that changes a request, and may then change its answer: `answer = yield`; `yield ANSWER` asks nobody."""
    return _register("exchanges", breaks, at)


def frames(*breaks: str, at: str = STREAM) -> Callable[[Frames], Frames]:
    """A defect that puts any number of frames in the place of each frame."""
    return _register("frames", breaks, at)


def logs(*breaks: str) -> Callable[[Lines], Lines]:
    """A defect that puts any number of log lines in the place of each line."""
    return _register("logs", breaks, "the server's log")


def exits(*breaks: str) -> Callable[[Ends], Ends]:
    """A defect that changes the exit code of the server."""
    return _register("exits", breaks, "the server's process")

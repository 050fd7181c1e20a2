"""Every way to break one thing that a pact names: the status, a header, a member of the body or of a frame.

Computed from the pact's own examples, which hold nothing but what the consumer relies on.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from harness.pact.pact_file import Interaction

How = Literal["drop", "retype", "rename"]
HOWS: tuple[How, ...] = ("drop", "retype", "rename")

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Mutant:
    """One broken answer.

    Attributes:
        part: `status`, `header`, `json`, `frame`, `marker` or `metric`.
        path: of the member; a header's or a metric's name.
        frame: which of the frames that have the member.
    """

    part: str
    path: Path
    how: How
    frame: Literal["first", "last"] = "last"

    @property
    def name(self) -> str:
        """As a test's id."""
        where = f"{self.frame}-" if self.part == "frame" else ""
        return f"{self.how}-{self.part}-{where}{'.'.join(map(str, self.path))}"


def mutants(interaction: Interaction) -> Iterator[Mutant]:
    """All of them."""
    response = interaction.raw["response"]
    yield Mutant("status", (), "retype")
    for header in response.get("headers", {}):
        yield Mutant("header", (header.lower(),), "drop")
        yield Mutant("header", (header.lower(),), "retype")
    body = response.get("body", {}).get("content")
    if not isinstance(body, str):
        yield from (Mutant("json", path, how) for path in paths(body) for how in _hows(path))
    elif response["headers"]["Content-Type"] == ["text/event-stream"]:
        yield from _of_frames(body)
    else:
        for line in body.splitlines():
            yield from (Mutant("metric", (line.rpartition(" ")[0],), how) for how in HOWS)


def _of_frames(body: str) -> Iterator[Mutant]:
    seen = [set(paths(frame)) for frame in frames(body)]
    for path in dict.fromkeys(path for found in seen for path in paths_in_order(found)):
        with_it = [index for index, found in enumerate(seen) if path in found]
        places: tuple[Literal["first", "last"], ...] = ("first", "last") if len(with_it) > 1 else ("last",)
        yield from (Mutant("frame", path, how, place) for place in places for how in _hows(path))
    if "[DONE]" in body:
        yield Mutant("marker", (), "drop")


def paths_in_order(found: set[Path]) -> list[Path]:
    """The same in every run."""
    return sorted(found, key=str)


def paths(value: Any) -> Iterator[Path]:
    """Every member and element below a value; of a list, the elements that the example has."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (key,)
        yield from ((key, *rest) for rest in paths(inner))


def frames(body: str) -> list[Any]:
    """The JSON of each frame; a marker is none."""
    datas = [line.removeprefix("data:").strip() for line in body.splitlines() if line.startswith("data:")]
    return [json.loads(data) for data in datas if data.startswith("{")]


def _hows(path: Path) -> tuple[How, ...]:
    return ("drop", "retype") if isinstance(path[-1], int) else HOWS


def broken(value: Any, path: Path, how: How) -> Any:
    """The value with one thing broken; a list that drops an element drops all. Without the member, an error."""
    key = path[0]
    inner = broken(value[key], path[1:], how) if path[1:] else retyped(value[key])
    if isinstance(key, int):
        return [*value[:key], inner, *value[key + 1 :]] if path[1:] or how == "retype" else []
    if path[1:]:
        return {**value, key: inner}
    rest = {name: member for name, member in value.items() if name != key}
    match how:
        case "drop":
            return rest
        case "rename":
            return {**rest, f"{key}_": value[key]}
        case "retype":
            return {**rest, key: inner}


def retyped(value: Any) -> Any:
    """Something of another JSON type: text for everything, and a number for a text."""
    return 7 if isinstance(value, str) else json.dumps(value)

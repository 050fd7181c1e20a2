"""The requirement ids: their grammar, and the sentences that `contracts/specs/*.md` state for them.

A requirement is one list item; a long sentence goes on in the next lines, indented by two:

    - **ORCH-3004** (MUST) Each pool MUST hold one bounded queue for each priority,
      `interactive` and `batch`.

Source: OC-TEST-7004 (traceability).
"""

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Literal, cast

ID = re.compile(r"(?:ORCH-\d{4}|OC-[A-Z]+(?:-[A-Z]+)?-\d{4}|HME-\d{3})(?!\d)")
ITEM = re.compile(rf"^- \*\*(?P<id>{ID.pattern})\*\* \((?P<level>MUST|SHOULD|MAY)\) (?P<sentence>\S.*)$")
FENCE = "```"

Level = Literal["MUST", "SHOULD", "MAY"]


class DuplicateIdError(ValueError):
    """Two sentences share an id."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One normative sentence.

    Attributes:
        file: path of the specification below `contracts/`, such as `specs/core.md`.
        line: of its first line, counted from 1.
    """

    id: str
    level: Level
    sentence: str
    file: str
    line: int

    @property
    def place(self) -> str:
        """`specs/core.md:12`."""
        return f"{self.file}:{self.line}"


def parse(text: str, file: str) -> list[Requirement]:
    """All requirements of one specification, in its order. What is not a well-formed item is prose."""
    found: list[Requirement] = []
    is_open = is_code = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith(FENCE):
            is_code = not is_code
        if not is_code and (match := ITEM.match(line)):
            level = cast("Level", match["level"])
            found.append(Requirement(match["id"], level, match["sentence"].strip(), file, number))
            is_open = True
        elif is_open and line.startswith("  ") and line.strip():
            found[-1] = replace(found[-1], sentence=f"{found[-1].sentence} {line.strip()}")
        else:
            is_open = False
    return found


def index(requirements: Iterable[Requirement]) -> dict[str, Requirement]:
    """Requirements by id, in their order.

    Raises:
        DuplicateIdError: an id is stated twice; the text names both places.
    """
    by_id: dict[str, Requirement] = {}
    for requirement in requirements:
        first = by_id.setdefault(requirement.id, requirement)
        if first is not requirement:
            raise DuplicateIdError(f"{requirement.id} is stated at {first.place} and again at {requirement.place}")
    return by_id


@functools.cache
def load() -> dict[str, Requirement]:
    """All requirements of the contracts, by id.

    Raises:
        DuplicateIdError: an id is stated twice.
    """
    folder = files("contracts").joinpath("specs")
    texts = {entry.name: entry.read_text(encoding="utf-8") for entry in folder.iterdir() if entry.name.endswith(".md")}
    return index(r for name, text in sorted(texts.items()) for r in parse(text, f"specs/{name}"))


def unknown(ids: Iterable[str], known: Iterable[str]) -> list[str]:
    """Those of `ids` that no specification states, sorted: misspelt, or not written yet."""
    return sorted(set(ids) - set(known))


__all__ = ["ID", "ITEM", "DuplicateIdError", "Level", "Requirement", "index", "load", "parse", "unknown"]

"""The requirement ids: their grammar, and the sentences that `contracts/specs/*.md` state for them.

A requirement is one list item:

    - **ORCH-3004** (MUST) Each pool MUST hold one bounded queue for each priority.

Source: OC-TEST-7004 (traceability).
"""

import re
from dataclasses import dataclass
from importlib.resources import files

ID = re.compile(r"(?:ORCH-\d{4}|OC-[A-Z]+(?:-[A-Z]+)?-\d{4}|HME-\d{3})")
ITEM = re.compile(rf"^- \*\*(?P<id>{ID.pattern})\*\* \((?P<level>MUST|SHOULD|MAY)\) (?P<sentence>.+)$")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One normative sentence.

    Attributes:
        level: MUST, SHOULD or MAY.
        place: `specs/core.md:12`.
    """

    id: str
    level: str
    sentence: str
    place: str


def parse(text: str, name: str) -> list[Requirement]:
    """All requirements of one spec file; continuation lines (indented by two) belong to the sentence."""
    found: list[Requirement] = []
    for number, line in enumerate(text.splitlines(), 1):
        if match := ITEM.match(line):
            found.append(Requirement(match["id"], match["level"], match["sentence"].strip(), f"{name}:{number}"))
        elif found and line.startswith("  ") and line.strip():
            last = found[-1]
            found[-1] = Requirement(last.id, last.level, f"{last.sentence} {line.strip()}", last.place)
    return found


def load() -> dict[str, Requirement]:
    """All requirements of the contracts, by id."""
    folder = files("contracts").joinpath("specs")
    texts = {entry.name: entry.read_text(encoding="utf-8") for entry in folder.iterdir() if entry.name.endswith(".md")}
    return {r.id: r for name, text in sorted(texts.items()) for r in parse(text, f"specs/{name}")}

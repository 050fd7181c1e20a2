"""One requirement's whole chain out of `contracts/requirements.json`: sentence, contracts, checks, code.

Source: OC-TEST-7092.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any

KINDS = ("contracts", "scenarios", "tests", "code")

Entry = Mapping[str, Any]


def load() -> dict[str, Entry]:
    """The index that these contracts came with, by id."""
    text = files("contracts").joinpath("requirements.json").read_text(encoding="utf-8")
    return {entry["id"]: entry for entry in json.loads(text)}


def family(index: Mapping[str, Entry], name: str | None) -> list[Entry]:
    """The requirements whose ids begin with a family's name, such as OC-CORE; None = all."""
    return [entry for identifier, entry in index.items() if name is None or identifier.startswith(f"{name}-")]


def lacks_a_check(entry: Entry) -> bool:
    """A MUST that nothing executable names, without a reason that is written down."""
    return entry["level"] == "MUST" and "excluded" not in entry and not (entry["scenarios"] or entry["tests"])


def table(entries: Sequence[Entry]) -> Iterator[str]:
    """One line for each requirement, with the number of its checks, and one of the sums."""
    for entry in entries:
        checks = len(entry["scenarios"]) + len(entry["tests"])
        why = "".join(f"; {name}: {entry[name]}" for name in ("excluded", "gap") if name in entry)
        yield f"{entry['id']:16}  {entry['level']:6}  {checks or 'no'} check{'s' if checks != 1 else ''}{why}"
    musts = [entry for entry in entries if entry["level"] == "MUST"]
    excluded = sum("excluded" in entry for entry in musts)
    without = sum(map(lacks_a_check, musts))
    yield f"{len(entries)} requirements, {len(musts)} of them MUST: {without} without a check, {excluded} excluded"


def lines(entry: Entry) -> Iterator[str]:
    """The chain of one requirement, for people."""
    yield f"{entry['id']}  {entry['level']}  {entry['spec']}"
    yield f"  {entry['sentence']}"
    for name in ("excluded", "gap"):
        if name in entry:
            yield f"{name}: {entry[name]}"
    for kind in KINDS:
        yield f"{kind} ({len(entry[kind])})"
        yield from (f"  {place}" for place in entry[kind])

"""One requirement's whole chain out of `contracts/requirements.json`: sentence, contracts, checks, code.

Source: OC-TEST-7092.
"""

import json
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

KINDS = ("contracts", "scenarios", "tests", "code")

Entry = Mapping[str, Any]


def load() -> dict[str, Entry]:
    """The index that these contracts came with, by id."""
    text = files("contracts").joinpath("requirements.json").read_text(encoding="utf-8")
    return {entry["id"]: entry for entry in json.loads(text)}


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

"""Generates the index of the pacts (`contracts/pacts/README.md`): a row for each interaction that one relies on."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path("contracts/pacts")
OUTPUT = FOLDER / "README.md"
HEAD = """# Pacts

Generated from the pacts of this folder by `python -m tools gen`. Do not edit.

| consumer | provider | interaction | request | given |
|---|---|---|---|---|
"""


def generate(root: Path) -> dict[Path, str]:
    """The index's text; none while there is no pact."""
    pacts = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((root / FOLDER).glob("*.json"))]
    rows = [row for pact in pacts for row in _rows(pact)]
    return {OUTPUT: HEAD + "".join(f"| {' | '.join(row)} |\n" for row in rows)} if pacts else {}


def _rows(pact: dict[str, Any]) -> Iterator[list[str]]:
    parties = [pact["consumer"]["name"], pact["provider"]["name"]]
    for interaction in pact["interactions"]:
        request = interaction.get("request", {})
        line = f"`{request['method']} {request['path']}`" if request else "message"
        states = ", ".join(state["name"] for state in interaction.get("providerStates", []))
        yield [*parties, *(text.replace("|", "\\|") for text in (interaction["description"], line, states))]

"""Generates the pacts from their consumer tests, and their index: a row for each interaction that one relies on."""

import json
from collections.abc import Iterator, Sequence
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
    """The pact of each consumer with its provider, and the index."""
    del root
    from contracts.client.tests.pact import pact_text
    from reference_server.engines.tests.pacts import CONSUMERS

    texts = {FOLDER / f"orchestrator-{consumer.provider}.json": consumer.text() for consumer in CONSUMERS}
    texts[FOLDER / "client-orchestrator.json"] = pact_text()
    return {**texts, OUTPUT: index([json.loads(texts[path]) for path in sorted(texts)])}


def index(pacts: Sequence[dict[str, Any]]) -> str:
    """A row for each interaction of each pact."""
    rows = [row for pact in pacts for row in _rows(pact)]
    return HEAD + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _rows(pact: dict[str, Any]) -> Iterator[list[str]]:
    parties = [pact["consumer"]["name"], pact["provider"]["name"]]
    for interaction in pact["interactions"]:
        request = interaction.get("request", {})
        line = f"`{request['method']} {request['path']}`" if request else "message"
        states = ", ".join(state["name"] for state in interaction.get("providerStates", []))
        yield [*parties, *(text.replace("|", "\\|") for text in (interaction["description"], line, states))]

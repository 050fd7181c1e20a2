"""Generates the pacts from their consumer tests, and their index: a row for each interaction that one relies on."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

FOLDER = Path("contracts/pacts")
OUTPUT = FOLDER / "README.md"
WRITE_S = 120.0  # two seconds on an idle machine
WRITE = """
import json
from contracts.client.tests.pact import pact_text
from reference_server.engines.tests.pacts import CONSUMERS
texts = {f"orchestrator-{consumer.provider}.json": consumer.text() for consumer in CONSUMERS}
print(json.dumps({**texts, "client-orchestrator.json": pact_text()}))
"""
HEAD = """# Pacts

Generated from the pacts of this folder by `python -m tools gen`. Do not edit.

| consumer | provider | interaction | request | given |
|---|---|---|---|---|
"""


def generate(root: Path) -> dict[Path, str]:
    """The pact of each consumer with its provider, and the index.

    A process of its own: the pacts follow from the code and the contracts below `root`, not from those that run this.

    Raises:
        RuntimeError: the consumers cannot be imported; the text is their traceback.
    """
    done = subprocess.run(
        [sys.executable, "-c", WRITE], cwd=root, capture_output=True, text=True, timeout=WRITE_S, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"the pacts cannot be written:\n{done.stderr}")
    texts = {FOLDER / name: text for name, text in json.loads(done.stdout.splitlines()[-1]).items()}
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

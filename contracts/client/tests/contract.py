"""The contract as the client's tests read it: every operation with every documented status, from the OpenAPI files."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.calls import Call, Contract

ROOT = Path(__file__).resolve().parents[3]
CONTRACT = Contract(ROOT)
STREAM = CONTRACT.planes["data.yaml"]["components"]["examples"]["TwoTokenStream"]["value"]
ANY = {"string": "text", "integer": 7, "number": 1.5}  # for a header without an example

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """One documented answer of one operation: an example of its body, in one of its formats."""

    call: Call
    status: int
    media: str
    example: Any
    headers: dict[str, str]
    request: Json

    def __str__(self) -> str:
        """As a test's id."""
        return f"{self.call.operation_id}-{self.status}-{self.media or 'empty'}"


def resolved(plane: str, node: Any) -> Any:
    """`node` with every reference replaced by what it refers to."""
    if isinstance(node, list):
        return [resolved(plane, item) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target, at, _ = CONTRACT.follow(plane, node)
        return resolved(at, target)
    return {key: resolved(plane, value) for key, value in node.items()}


def operations() -> Iterator[tuple[Call, Json]]:
    """Every operation, as the client has it and as the contract has it."""
    calls = {call.operation_id: call for call in CONTRACT.calls()}
    for plane, document in CONTRACT.planes.items():
        for item in document["paths"].values():
            for method, operation in item.items():
                if method != "parameters":
                    shared = {"parameters": item.get("parameters", []) + operation.get("parameters", [])}
                    yield calls[operation["operationId"]], resolved(plane, {**operation, **shared})


def cases() -> Iterator[Case]:
    """Every operation with every documented status and every example of its body."""
    for call, operation in operations():
        for status, response in operation["responses"].items():
            headers = {
                name: str(header.get("example", ANY[header["schema"]["type"]]))
                for name, header in response.get("headers", {}).items()
            }
            examples = [
                (media, example["value"])
                for media, content in response.get("content", {}).items()
                for example in content["examples"].values()
            ]
            for media, example in examples or [("", None)]:
                yield Case(call, int(status), media, example, headers, operation)

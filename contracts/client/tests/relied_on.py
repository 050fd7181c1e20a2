"""From a schema of the contract to what a client relies on: the members that are required, by their types."""

from collections.abc import Callable, Mapping
from typing import Any

from pact import match

from contracts.client.tests.contract import CONTRACT, resolved
from contracts.tests.pact_writing import SomeText

Json = dict[str, Any]

UUID = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
UUID_EXAMPLE = "7b6a3c52-2b9c-4e8e-9d7e-0d8f1c2b3a4d"


def body_of(schema: str, *, plane: str = "data.yaml", **fixed: object) -> Json:
    """The required members of a schema, and others where they are given."""
    node = resolved(plane, CONTRACT.planes[plane]["components"]["schemas"][schema])
    return {**_object(node), **fixed}


def example_of(name: str) -> Json:
    """An example of the data plane."""
    return dict(CONTRACT.planes["data.yaml"]["components"]["examples"][name]["value"])


def _object(schema: Json) -> Any:
    """Without required members, any object: an empty one would stand for nothing but an empty one."""
    members = {name: matcher(schema["properties"][name]) for name in schema.get("required", ())}
    return members or match.like({})


def matcher(schema: Json) -> Any:
    """What takes any value of a schema, with an example.

    Raises:
        KeyError: a schema without a type.
    """
    if "enum" in schema:
        return SomeText(schema["enum"][0], "|".join(schema["enum"]))
    if schema.get("format") == "uuid":
        return SomeText(UUID_EXAMPLE, UUID)
    return OF_TYPE[schema["type"]](schema)


OF_TYPE: Mapping[str, Callable[[Json], Any]] = {
    "object": _object,
    "array": lambda schema: match.each_like(matcher(schema["items"]), min=1),
    "integer": lambda schema: match.int(max(1, schema.get("minimum", 1))),
    "number": lambda _: match.number(1.5),
    "boolean": lambda _: match.like(True),
    "string": lambda schema: match.like(schema.get("example", "text")),
}

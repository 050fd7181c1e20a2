"""Places in a configuration: from a path as msgspec names it to its line, its value, and the fields known there.

# "$.pools[0].queue" → line 4, `pools[0].queue: `

Source: OC-CONFIG-6004.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec.inspect
import yaml

from reference_server.config import Config

_STEP = re.compile(r"\.(?P<field>[^.\[]+)|\[(?P<index>\d+)\]")

Step = str | int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a path leads.

    Attributes:
        line: of the field, or of the nearest place that is there, from 1.
        field: for messages, with a colon and a space; empty for the whole file.
    """

    line: int
    field: str
    steps: Sequence[Step]

    def value_in(self, data: Any) -> Any:
        """What stands there; None when nothing does."""
        for step in self.steps:
            try:
                data = data[step]
            except (KeyError, IndexError, TypeError):
                return None
        return data


def place_of(path: str, root: yaml.Node | None) -> Place:
    """The place of a path that begins with `$`."""
    steps = _steps(path)
    node, line = root, 1
    for step in steps:
        found = _child(node, step)
        if found is None:
            break
        node, line = found
    field = path.removeprefix("$").removeprefix(".")
    return Place(line, f"{field}: " if field else "", steps)


def known_fields(path: str, data: Any) -> list[str]:
    """The fields of the object at a path; those of its own kind where there are several kinds."""
    kind = _type_at(_steps(path), data)
    if not isinstance(kind, msgspec.inspect.StructType):
        return []
    return [f.encode_name for f in kind.fields] + ([kind.tag_field] if kind.tag_field else [])


def allowed_values(path: str, data: Any) -> list[str]:
    """What may stand at a path, where that is one of a few names; else empty."""
    *above, last = [None, *_steps(path)]
    holder = _type_at(above[1:], data, is_chosen=False)
    if isinstance(holder, msgspec.inspect.UnionType):
        return [str(s.tag) for s in _structs(holder) if s.tag_field == last]
    kind = _type_at(_steps(path), data)
    return [str(value) for value in kind.values] if isinstance(kind, msgspec.inspect.LiteralType) else []


def _type_at(steps: Sequence[Step | None], data: Any, *, is_chosen: bool = True) -> Any:
    """The type that the schema has there.

    Args:
        is_chosen: of several kinds of object, the one that the data names.
    """
    kind: Any = msgspec.inspect.type_info(Config)
    for number, step in enumerate(steps, 1):
        data = _item(data, step)
        if isinstance(kind, msgspec.inspect.StructType):
            kind = next((f.type for f in kind.fields if f.encode_name == step), None)
        elif isinstance(kind, msgspec.inspect.CollectionType):
            kind = kind.item_type
        if isinstance(kind, msgspec.inspect.UnionType) and (is_chosen or number < len(steps)):
            kind = _chosen(kind, data)
    return kind


def _steps(path: str) -> list[Step]:
    return [int(m["index"]) if m["index"] else m["field"] for m in _STEP.finditer(path)]


def _child(node: yaml.Node | None, step: Step) -> tuple[yaml.Node, int] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == step:
                return value, key.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step].start_mark.line + 1
    return None


def _item(data: Any, step: Step | None) -> Any:
    try:
        return data[step]
    except (KeyError, IndexError, TypeError):
        return None


def _chosen(kinds: msgspec.inspect.UnionType, data: Any) -> Any:
    """The struct that the object's tag names; the only one where there is one beside None."""
    structs = _structs(kinds)
    tag = next((s.tag_field for s in structs if s.tag_field), None)
    if tag is None or not isinstance(data, dict):
        return structs[0] if len(structs) == 1 else None
    return next((s for s in structs if s.tag == data.get(tag)), None)


def _structs(kinds: msgspec.inspect.UnionType) -> list[msgspec.inspect.StructType]:
    return [kind for kind in kinds.types if isinstance(kind, msgspec.inspect.StructType)]

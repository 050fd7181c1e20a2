"""Generates the server's wire types (`contracts/models/`) from the contracts. Run it as `python -m tools gen`.

A generator of our own, because the common one drops what we need: `contracts/decisions/0002-own-model-generator.md`.
It knows the handful of JSON Schema keywords that the contracts use; any other keyword is an error, never ignored.
"""

import json
import re
from pathlib import Path
from typing import Any

import yaml

HEADER = '"""Generated from {source} by `python -m tools gen`. Do not edit."""\n'
UUID_PATTERN = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"

# Where JSON Schema's keyword is, and what msgspec calls it.
CONSTRAINTS = {
    "minimum": "ge",
    "exclusiveMinimum": "gt",
    "maximum": "le",
    "minLength": "min_length",
    "maxLength": "max_length",
    "minItems": "min_length",
    "maxItems": "max_length",
    "pattern": "pattern",
}
SILENT = {"type", "description", "enum", "format", "items", "properties", "required", "additionalProperties", "default"}
SILENT |= {"x-req-id"}  # for the requirement index
# `oneOf` with nothing but `required` says which fields exclude each other: the edge checks that (`web/body.py`).
FORMATS = {"int32", "int64", "uuid"}
BASE = {"integer": "int", "number": "float", "boolean": "bool", "string": "str"}


class UnknownKeywordError(Exception):
    """The contract uses a keyword that this generator does not know: teach it, do not drop it."""


def generate(root: Path) -> dict[Path, str]:
    """The text of every generated file, by path relative to `root`."""
    files: dict[Path, str] = {}
    for name in ("data", "control"):
        source = Path("contracts/openapi") / f"{name}.yaml"
        document = yaml.safe_load((root / source).read_text(encoding="utf-8"))
        files[Path(f"contracts/models/{name}.py")] = _module(document, str(source))
    errors = yaml.safe_load((root / "contracts/errors.yaml").read_text(encoding="utf-8"))
    files[Path("contracts/models/errors.py")] = _errors(errors)
    return files


def _module(document: dict[str, Any], source: str) -> str:
    schemas = document["components"]["schemas"]
    bodies = "\n\n".join(_definition(name, schemas[name]) for name in _in_order(schemas))
    imports = [f"from {module} import {names}" for module, names in (("typing", _typing(bodies)),) if names]
    public = ",\n    ".join(f'"{name}"' for name in sorted([*schemas, "API_VERSION"]))
    return (
        HEADER.format(source=source)
        + "\n"
        + "\n".join([*imports, "", "import msgspec", ""] if imports else ["import msgspec", ""])
        + f'\nAPI_VERSION = "{document["info"]["version"]}"\n\n\n'
        + bodies
        + f"\n\n__all__ = [\n    {public},\n]\n"
    )


def _typing(text: str) -> str:
    return ", ".join(name for name in ("Annotated", "Any", "Literal") if re.search(rf"\b{name}\b", text))


def _in_order(schemas: dict[str, Any]) -> list[str]:
    """Names so that each comes after those it refers to."""
    done: list[str] = []

    def visit(name: str) -> None:
        if name in done:
            return
        for target in re.findall(r"#/components/schemas/(\w+)", json.dumps(schemas[name])):
            if target in schemas:
                visit(target)
        done.append(name)

    for name in schemas:
        visit(name)
    return done


def _definition(name: str, schema: dict[str, Any]) -> str:
    if schema.get("type") != "object":
        return f"{name} = {_type(schema, name)}\n"
    closed = schema.get("additionalProperties") is False
    if schema.get("additionalProperties") not in {None, False}:
        raise UnknownKeywordError(f"{name}: additionalProperties: {schema['additionalProperties']}")
    _require_known(schema, name)
    required = schema.get("required", [])
    fields = []
    for field, inner in schema.get("properties", {}).items():
        annotation = _type(inner, f"{name}.{field}")
        fields.append(
            f"    {field}: {annotation}"
            if field in required
            else f"    {field}: {annotation} | msgspec.UnsetType = msgspec.UNSET"
        )
    forbid = ", forbid_unknown_fields=True" if closed else ""
    doc = schema.get("description", f"`{name}` of the contract.")
    return (
        f'class {name}(msgspec.Struct, frozen=True, kw_only=True{forbid}):\n    """{doc}"""\n\n'
        + "\n".join(fields)
        + "\n"
    )


def _type(schema: dict[str, Any], where: str) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    _require_known(schema, where)
    if "properties" in schema:
        raise UnknownKeywordError(f"{where}: properties of its own; give it a component")
    if "enum" in schema:
        return "Literal[" + ", ".join(json.dumps(value) for value in schema["enum"]) + "]"
    kind = schema["type"]
    if kind == "array":
        base = f"tuple[{_type(schema['items'], where + '[]')}, ...]"
    elif kind == "object":
        base = "dict[str, Any]"
    else:
        base = BASE[kind]
    constraints = {"pattern": UUID_PATTERN} if schema.get("format") == "uuid" else {}
    constraints |= {key: value for key, value in schema.items() if key in CONSTRAINTS and not _too_big(value)}
    bounds = [f"{CONSTRAINTS[key]}={_python(key, value)!r}" for key, value in constraints.items()]
    return f"Annotated[{base}, msgspec.Meta({', '.join(bounds)})]" if bounds else base


def _python(key: str, value: object) -> object:
    """A pattern's last `$` is the end of the text in JSON Schema; Python's also stands before a final line break."""
    is_anchored = key == "pattern" and isinstance(value, str) and value.endswith("$")
    return f"{str(value)[:-1]}\\Z" if is_anchored else value


def _too_big(value: object) -> bool:
    """msgspec's bounds are signed 64-bit; only answers of our own have larger ones."""
    return isinstance(value, int) and not -(2**63) <= value < 2**63


def _require_known(schema: dict[str, Any], where: str) -> None:
    one_of = schema.get("oneOf")
    if one_of is not None and not all(set(branch) == {"required"} for branch in one_of):
        raise UnknownKeywordError(f"{where}: oneOf with more than `required`")
    unknown = set(schema) - SILENT - set(CONSTRAINTS) - {"oneOf"}
    if unknown:
        raise UnknownKeywordError(f"{where}: {', '.join(sorted(unknown))}")
    if (form := schema.get("format")) is not None and form not in FORMATS:
        raise UnknownKeywordError(f"{where}: format: {form}")


def _errors(registry: dict[str, Any]) -> str:
    rows = "\n".join(
        f'    "{code}": ErrorRule(http={entry["http"] or 500}, retriable={entry["retriable"]}),'
        for code, entry in registry.items()
    )
    return (
        HEADER.format(source="contracts/errors.yaml")
        + "\nfrom typing import NamedTuple\n\n\nclass ErrorRule(NamedTuple):\n"
        + '    """What the registry says of one code; `http` is 500 where a code only ends streams."""\n\n'
        + "    http: int\n    retriable: bool\n\n\nERRORS = {\n"
        + rows
        + '\n}\n\n__all__ = [\n    "ERRORS",\n    "ErrorRule",\n]\n'
    )

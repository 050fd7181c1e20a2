"""Writes the configuration's JSON Schema from the structs that read it, with what their docstrings say of each field.

Source: OC-CONFIG-6002, OC-CONFIG-6010.
"""

import inspect
import json
import re
from pathlib import Path
from typing import Any

import msgspec

from reference_server import config, config_provisioning

OUTPUT = Path("contracts/config/schema.json")
_ATTRIBUTE = re.compile(r"^ {4}(\w[\w, ]*): (.*(?:\n {8}.*)*)", re.MULTILINE)


def generate(root: Path) -> dict[Path, str]:
    """The schema's text; it depends on the structs alone."""
    del root
    schema = msgspec.json.schema(config.Config)
    for name, component in schema["$defs"].items():
        _describe(component, vars(config).get(name) or vars(config_provisioning)[name])
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "llama-orch configuration",
        **schema,
    }
    return {OUTPUT: json.dumps(whole, indent=2, ensure_ascii=False) + "\n"}


def _describe(component: dict[str, Any], struct: type) -> None:
    doc = inspect.getdoc(struct) or ""
    component["description"] = doc.partition("\n\n")[0].replace("\n", " ")
    for field, text in _attributes(doc).items():
        if field in component["properties"]:
            component["properties"][field]["description"] = text


def _attributes(doc: str) -> dict[str, str]:
    """What the docstring's `Attributes:` say, by field."""
    _, _, section = doc.partition("\nAttributes:\n")
    found: dict[str, str] = {}
    for match in _ATTRIBUTE.finditer(section):
        text = re.sub(r"\s+", " ", match[2])
        found |= dict.fromkeys(match[1].split(", "), text)
    return found

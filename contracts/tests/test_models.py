"""The generated models say what the contract says: in both directions, and on near-valid bodies."""

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.models import control, data
from contracts.models.data import Task
from tools.gen_models import UUID_PATTERN, UnknownKeywordError, generate

ROOT = Path(__file__).parent.parent.parent
DOCUMENTS = {
    "data": yaml.safe_load((ROOT / "contracts/openapi/data.yaml").read_text(encoding="utf-8")),
    "control": yaml.safe_load((ROOT / "contracts/openapi/control.yaml").read_text(encoding="utf-8")),
}
MODULES = {"data": data, "control": control}
COMPONENTS = [
    (plane, name)
    for plane, document in DOCUMENTS.items()
    for name, schema in document["components"]["schemas"].items()
    if schema.get("type") == "object"
]
EXAMPLE = DOCUMENTS["data"]["components"]["examples"]["CompletionTask"]["value"]
# Exactly one of two fields is not a matter of one field: the server's edge checks it (web/body.py).
RAW = {k: v for k, v in DOCUMENTS["data"]["components"]["schemas"]["Task"].items() if k != "oneOf"}
VALIDATOR = jsonschema_rs.validator_for(RAW, validate_formats=True)


def normal(schema: Any) -> Any:
    """One spelling for what means the same."""
    if isinstance(schema, list):
        return [normal(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") == "uuid":
        return {"type": "string", "pattern": UUID_PATTERN.removesuffix("$")}
    dropped = {"title", "description", "default", "oneOf", "x-req-id"}
    if schema.get("format") in {"int32", "int64"}:
        dropped.add("format")
    result = {key: normal(value) for key, value in schema.items() if key not in dropped}
    for key in ("minimum", "maximum"):
        if isinstance(result.get(key), int) and not -(2**63) <= result[key] < 2**63:
            del result[key]
    if "enum" in result:
        result = {"enum": sorted(result["enum"])}
    if "pattern" in result:
        result["pattern"] = str(result["pattern"]).removesuffix("$").removesuffix("\\Z")
    if "required" in result:
        result["required"] = sorted(result["required"]) or None
    if "$ref" in result:
        result["$ref"] = str(result["$ref"]).rpartition("/")[2]
    if result.get("type") == "object" and not result.get("properties"):
        return {"type": "object"}
    return {key: value for key, value in result.items() if value is not None}


def of_model(model: type) -> Any:
    (_,), components = msgspec.json.schema_components([model], ref_template="#/components/schemas/{name}")
    return normal(components[model.__name__])


def of_contract(schema: Any, schemas: dict[str, Any]) -> Any:
    """The component, with references to plain types replaced, as the models have it."""

    def inline(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                target = schemas[str(node["$ref"]).rpartition("/")[2]]
                return node if target.get("type") == "object" else inline(target)
            return {key: inline(value) for key, value in node.items()}
        return [inline(item) for item in node] if isinstance(node, list) else node

    return normal(inline(schema))


@pytest.mark.req("ORCH-3044", "OC-CONFIG-6010")
def test_the_committed_models_are_what_the_generator_makes_now() -> None:
    for path, text in generate(ROOT).items():
        assert text == (ROOT / path).read_text(encoding="utf-8"), f"{path} is stale: python -m tools gen"


@pytest.mark.req("ORCH-3044")
@pytest.mark.parametrize(("plane", "name"), COMPONENTS)
def test_a_model_has_every_constraint_of_its_component(plane: str, name: str) -> None:
    schemas = DOCUMENTS[plane]["components"]["schemas"]

    assert of_contract(schemas[name], schemas) == of_model(getattr(MODULES[plane], name))


@pytest.mark.req("ORCH-3044")
def test_the_comparison_sees_a_constraint_that_was_dropped() -> None:
    schemas = copy.deepcopy(DOCUMENTS["data"]["components"]["schemas"])
    del schemas["Task"]["properties"]["max_tokens"]["minimum"]

    assert of_contract(schemas["Task"], schemas) != of_model(Task)


@pytest.mark.req("ORCH-3044")
@pytest.mark.parametrize("keyword", ["multipleOf", "format", "oneOf", "additionalProperties", "properties"])
def test_the_generator_refuses_what_it_does_not_know(tmp_path: Path, keyword: str) -> None:
    broken = copy.deepcopy(DOCUMENTS["data"])
    plants: dict[str, Any] = {
        "multipleOf": 2,
        "format": "date",
        "oneOf": [{"type": "string"}],
        "additionalProperties": True,
        "properties": {"nested": {"type": "integer"}},
    }
    schema = broken["components"]["schemas"]["Task"]
    target = schema if keyword in {"oneOf", "additionalProperties"} else schema["properties"]["ctx"]
    target[keyword] = plants[keyword]
    (tmp_path / "contracts/openapi").mkdir(parents=True)
    (tmp_path / "contracts/openapi/data.yaml").write_text(yaml.safe_dump(broken), encoding="utf-8")

    with pytest.raises(UnknownKeywordError):
        generate(tmp_path)


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63) - 5, 2**63 + 5),
    st.sampled_from([0, 1, 2**31 - 1, 2**31, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1]),
    st.text(max_size=5),
    st.sampled_from(["completion", "rerank", "llamacpp", "batch", "strict", "reuse", "cancel", "x" * 65, "x" * 1025]),
    st.sampled_from([EXAMPLE["task_id"], EXAMPLE["task_id"].replace("-", ""), EXAMPLE["task_id"] + "\n"]),
    st.lists(st.text(max_size=2), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=1),
)


@pytest.mark.req("OC-CTRL-2034", "ORCH-3044")
@settings(max_examples=1_500, deadline=None)
@given(
    changed=st.dictionaries(st.sampled_from([*RAW["properties"], "unknown"]), VALUES, max_size=3),
    dropped=st.sets(st.sampled_from(RAW["required"]), max_size=1),
)
def test_models_and_contract_give_the_same_verdict_on_near_valid_bodies(
    changed: dict[str, Any], dropped: set[str]
) -> None:
    body = {key: value for key, value in {**EXAMPLE, **changed}.items() if key not in dropped}
    raw = json.dumps(body)

    try:
        msgspec.json.decode(raw, type=Task)
        is_accepted = True
    except msgspec.ValidationError:
        is_accepted = False
    assert VALIDATOR.is_valid(body) == is_accepted, raw

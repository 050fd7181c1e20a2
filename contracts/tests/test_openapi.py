"""The OpenAPI files: valid, complete in examples and ids; and each rule shown to catch a planted violation."""

import copy
import functools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from openapi_spec_validator import validate

from harness import requirements

FOLDER = Path(__file__).parent.parent / "openapi"
Json = dict[str, Any]
METHODS = {"get", "post", "put", "delete", "patch"}


@functools.cache
def parsed(name: str) -> Json:
    """A contract, to be read only."""
    document: Json = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    return document


def load(name: str) -> Json:
    """A contract of one's own, to plant violations in."""
    return copy.deepcopy(parsed(name))


def resolved(node: Any, document: Json) -> Any:
    """`node` with every reference replaced by what it refers to; the contracts have no cycles."""
    if isinstance(node, list):
        return [resolved(item, document) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        file, _, pointer = str(node["$ref"]).partition("#/")
        target_document = parsed(file.removesuffix(".yaml")) if file else document
        target: Any = target_document
        for part in pointer.split("/"):
            target = target[part]
        return resolved(target, target_document)
    return {key: resolved(value, document) for key, value in node.items()}


def operations(document: Json) -> Iterator[tuple[str, Json]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method in METHODS:
                yield f"{method.upper()} {path}", operation


def contents(operation: Json) -> Iterator[tuple[str, Json]]:
    if "requestBody" in operation:
        for media, content in operation["requestBody"]["content"].items():
            yield f"request {media}", content
    for status, response in operation["responses"].items():
        for media, content in response.get("content", {}).items():
            yield f"{status} {media}", content


# ── rules: a resolved document in, problems out ──


def missing_examples(document: Json) -> list[str]:
    return [
        f"{name} {where}" for name, op in operations(document) for where, c in contents(op) if not c.get("examples")
    ]


def _schema(content: Json) -> Json | bool:
    """A stream is no value: its events have schemas, and its examples are texts. Elsewhere one has to be there."""
    return {"type": "string"} if "x-sse-events" in content else content.get("schema", False)


def invalid_examples(document: Json) -> list[str]:
    return [
        f"{name} {where} {title}"
        for name, op in operations(document)
        for where, content in contents(op)
        for title, example in content.get("examples", {}).items()
        if not jsonschema_rs.validator_for(_schema(content)).is_valid(example["value"])
    ]


def bad_ids(document: Json) -> list[str]:
    known = requirements.load()
    return [
        f"{name}: {id_}"
        for name, op in operations(document)
        for id_ in op.get("x-req-id") or ["none"]
        if id_ not in known
    ]


def missing_correlation(document: Json) -> list[str]:
    return [
        f"{name} {status}"
        for name, op in operations(document)
        for status, response in op["responses"].items()
        if "X-Correlation-Id" not in response.get("headers", {})
    ]


def open_bodies(document: Json) -> list[str]:
    return [
        name
        for name, op in operations(document)
        for where, content in contents(op)
        if where.startswith("request") and content["schema"].get("additionalProperties") is not False
    ]


def bare_backpressure(document: Json) -> list[str]:
    return [
        name
        for name, op in operations(document)
        for status, response in op["responses"].items()
        if status == "429" and not {"Retry-After", "X-Backoff-Ms"} <= response["headers"].keys()
    ]


RULES = [missing_examples, invalid_examples, bad_ids, missing_correlation, open_bodies, bare_backpressure]


@pytest.mark.req("ORCH-3044")
@pytest.mark.parametrize("name", ["data", "control"])
def test_the_file_is_valid_openapi(name: str) -> None:
    validate(load(name), base_uri=(FOLDER / f"{name}.yaml").as_uri())


@pytest.mark.req("OC-CTRL-2067", "OC-CTRL-2069", "OC-TEST-7004")
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", ["data", "control"])
def test_the_rule_holds(name: str, rule: Callable[[Json], list[str]]) -> None:
    document = load(name)

    assert [] == rule(resolved(document, document))


def plant(rule: Callable[[Json], list[str]], document: Json) -> None:
    """Break exactly what `rule` holds."""
    operation = document["paths"]["/v1/tasks"]["post"]
    body = operation["requestBody"]["content"]["application/json"]
    match rule.__name__:
        case "missing_examples":
            del body["examples"]
        case "invalid_examples":
            body["examples"]["completion"]["value"]["max_tokens"] = 0
        case "bad_ids":
            operation["x-req-id"] = ["ORCH-9999"]
        case "missing_correlation":
            del operation["responses"]["202"]["headers"]["X-Correlation-Id"]
        case "open_bodies":
            del body["schema"]["additionalProperties"]
        case "bare_backpressure":
            del operation["responses"]["429"]["headers"]["Retry-After"]


@pytest.mark.req("OC-CTRL-2067")
@pytest.mark.parametrize("rule", RULES)
def test_the_rule_catches_a_planted_violation(rule: Callable[[Json], list[str]]) -> None:
    document = load("data")
    broken = copy.deepcopy(resolved(document, document))
    plant(rule, broken)

    assert rule(broken)


@pytest.mark.req("ORCH-3096")
def test_both_planes_have_one_version() -> None:
    assert load("data")["info"]["version"] == load("control")["info"]["version"]


@pytest.mark.req("OC-CTRL-2030")
def test_the_codes_of_the_contract_are_those_of_the_registry() -> None:
    registry = yaml.safe_load((FOLDER.parent / "errors.yaml").read_text(encoding="utf-8"))

    assert sorted(registry) == sorted(load("data")["components"]["schemas"]["ErrorCode"]["enum"])


@pytest.mark.req("OC-CTRL-2030")
def test_every_registered_status_is_documented_somewhere() -> None:
    registry = yaml.safe_load((FOLDER.parent / "errors.yaml").read_text(encoding="utf-8"))
    text = (FOLDER / "data.yaml").read_text() + (FOLDER / "control.yaml").read_text()
    documented = {int(status) for status in re.findall(r"^        '(\d{3})':", text, re.MULTILINE)}
    # 405 and 408 belong to no operation, 502 and 504 only end streams
    assert {entry["http"] for entry in registry.values() if entry["http"]} - {405, 408, 502, 504} <= documented

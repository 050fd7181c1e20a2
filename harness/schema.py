"""Judges raw JSON against the OpenAPI contract: what servers answer, and what we send them ourselves.

The generated models are not used: if the generator dropped a constraint, decoding and judgement would both be wrong.

Source: OC-CTRL-2067, ORCH-3044.
"""

import functools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal

import jsonschema_rs
import yaml

from harness.history import Exchange, Frame

BASE = "orchqueue:///"
DOCUMENTS = ("data.yaml", "control.yaml")
ERROR_ENVELOPE = f"{BASE}data.yaml#/components/schemas/ErrorEnvelope"

Part = Literal["request", "answer", "frame"]


@dataclass(frozen=True, slots=True)
class Breach:
    """One place where JSON and contract differ.

    Attributes:
        part: whose it is: a request is ours, an answer or a frame the server's.
        where: `$.field[0]`.
    """

    part: Part
    schema: str
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.part} is not {self.schema}: {self.what} (at {self.where})"


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    document: str
    template: str
    method: str
    spec: dict[str, Any]


class Contract:
    """Both planes, ready to judge."""

    def __init__(self, documents: dict[str, dict[str, Any]]) -> None:
        self.api_version = str(documents["data.yaml"]["info"]["version"])
        self._documents = documents
        self._registry = jsonschema_rs.Registry([(BASE + name, document) for name, document in documents.items()])
        self._operations = [
            (_pattern(template), Operation(name, template, method.upper(), spec))
            for name, document in documents.items()
            for template, methods in document["paths"].items()
            for method, spec in methods.items()
            if method in ("get", "post", "put", "delete", "patch")
        ]

    def operation(self, method: str, path: str) -> Operation | None:
        """The operation that a request asks for."""
        bare = path.partition("?")[0]
        for pattern, operation in self._operations:
            if operation.method == method and pattern.fullmatch(bare):
                return operation
        return None

    def judge(self, exchange: Exchange) -> Iterator[Breach]:
        """Every breach in one exchange; a request that a scenario sent wrong on purpose is not judged."""
        operation = self.operation(exchange.method, exchange.path)
        if exchange.origin == "harness" and operation is not None:
            yield from self._judge_request(exchange, operation)
        yield from self._judge_answer(exchange, operation)

    def judge_frame(self, frame: Frame) -> Iterator[Breach]:
        """Every breach in one frame of a stream."""
        operation = self.operation("GET", "/v1/tasks/x/stream")
        assert operation is not None, "the contract has a stream"  # noqa: S101
        schemas = operation.spec["responses"]["200"]["content"]["text/event-stream"]["x-sse-events"]
        if frame.event not in schemas:
            yield Breach("frame", " or ".join(schemas), "$", f"the event is {frame.event!r}")
        elif frame.payload is None:
            yield Breach("frame", frame.event, "$", f"the data is not JSON: {frame.data[:80]!r}")
        else:
            yield from self.judge_json(
                "frame", _absolute(schemas[frame.event]["$ref"], operation.document), frame.payload
            )

    def judge_json(self, part: Part, schema: str, value: Any) -> Iterator[Breach]:
        """Every breach of `value` against the schema at this address."""
        for error in self._validator(schema).iter_errors(value):
            where = "$" + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in error.instance_path)
            yield Breach(part, schema.rpartition("/")[2], where, error.message)

    def _judge_request(self, exchange: Exchange, operation: Operation) -> Iterator[Breach]:
        content = operation.spec.get("requestBody", {}).get("content", {}).get("application/json")
        if content is None:
            if exchange.request_body:
                yield Breach("request", operation.spec["operationId"], "$", "a body where there is none")
            return
        try:
            value = json.loads(exchange.request_body)
        except ValueError:
            yield Breach("request", operation.spec["operationId"], "$", "not JSON")
            return
        yield from self.judge_json("request", _absolute(content["schema"]["$ref"], operation.document), value)

    def _judge_answer(self, exchange: Exchange, operation: Operation | None) -> Iterator[Breach]:
        documented = self._response(operation, exchange.status)
        if documented is None:
            if operation is not None and exchange.status not in UNIVERSAL:
                yield Breach(
                    "answer", operation.spec["operationId"], "$", f"status {exchange.status} is not documented"
                )
            if exchange.status >= 400:
                yield from self._judge_json_body(exchange, ERROR_ENVELOPE)
            return
        document, response = documented
        content = response.get("content", {})
        media = (exchange.header("content-type") or "").partition(";")[0].strip().lower()
        if not content:
            if exchange.body:
                yield Breach("answer", str(exchange.status), "$", "a body where there is none")
        elif media not in content:
            yield Breach("answer", " or ".join(content), "$", f"the content type is {media or 'absent'}")
        elif media == "application/json":
            yield from self._judge_json_body(exchange, _absolute(content[media]["schema"]["$ref"], document))

    def _judge_json_body(self, exchange: Exchange, schema: str) -> Iterator[Breach]:
        if exchange.json is None:
            yield Breach("answer", schema.rpartition("/")[2], "$", f"the body is not JSON: {exchange.body[:80]!r}")
        else:
            yield from self.judge_json("answer", schema, exchange.json)

    def _response(self, operation: Operation | None, status: int) -> tuple[str, dict[str, Any]] | None:
        """The documented response, and the document in which its own references are to be read."""
        spec = operation.spec["responses"].get(str(status)) if operation else None
        if operation is None or spec is None:
            return None
        if "$ref" not in spec:
            return operation.document, spec
        document, _, pointer = spec["$ref"].partition("#/")
        document = document or operation.document
        return document, functools.reduce(lambda node, key: node[key], pointer.split("/"), self._documents[document])

    @functools.cache  # noqa: B019 - one contract lives as long as its process
    def _validator(self, schema: str) -> jsonschema_rs.Draft202012Validator:
        return jsonschema_rs.Draft202012Validator({"$ref": schema}, registry=self._registry, validate_formats=True)


UNIVERSAL = (404, 405, 408)
"""Statuses that any request may get and that no operation needs to list."""


@functools.cache
def contract() -> Contract:
    """The contract that is installed with this harness."""
    folder = files("contracts").joinpath("openapi")
    return Contract({name: yaml.safe_load(folder.joinpath(name).read_text(encoding="utf-8")) for name in DOCUMENTS})


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile("[^/]+".join(re.escape(part) for part in re.split(r"\{[^}]+\}", template)))


def _absolute(ref: str, document: str) -> str:
    name, _, pointer = ref.partition("#")
    return f"{BASE}{name or document}#{pointer}"

"""The operations of the OpenAPI contracts as a client calls them: arguments, body, answer, refusals.

A place of the contract that has no form here is an error, never left out.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tools.gen_models import UnknownKeywordError

DATA, CONTROL = Path("contracts/openapi/data.yaml"), Path("contracts/openapi/control.yaml")
METHODS = ("get", "post", "put", "delete", "patch")
PYTHON = {"integer": "int", "number": "float", "string": "str"}

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Arguments:
    """What a method takes, and what it hands on.

    Attributes:
        positional: such as `task_id: str`.
        keyword: such as `correlation_id: str | None = None`.
        docs: what each of them is, by name.
        sent: such as `body=task`.
        headers: the argument of each header, by its name on the wire.
    """

    positional: list[str] = field(default_factory=list)
    keyword: list[str] = field(default_factory=list)
    docs: dict[str, str] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One operation, as its method needs it.

    Attributes:
        operation_id: the contract's name of it; `name` is Python's.
        status: of success.
        answer: the type of its body, such as `models.TaskStatus`; `None` where it has none.
        success: what the contract says of a success.
        refusals: the same of each status of 400 and more.
    """

    operation_id: str
    name: str
    method: str
    path: str
    summary: str
    description: str
    arguments: Arguments
    status: int
    answer: str
    is_stream: bool
    success: str
    refusals: Mapping[str, str]


class Contract:
    """Both planes, with references followed across them."""

    def __init__(self, root: Path) -> None:
        self.planes: dict[str, Json] = {
            path.name: yaml.safe_load((root / path).read_text(encoding="utf-8")) for path in (DATA, CONTROL)
        }

    @property
    def version(self) -> str:
        """`info.version`."""
        return str(self.planes[DATA.name]["info"]["version"])

    def calls(self) -> Iterator[Call]:
        """Every operation, in the contract's order."""
        for plane, document in self.planes.items():
            for path, item in document["paths"].items():
                for method in METHODS:
                    if method in item:
                        shared = item.get("parameters", [])
                        operation = {**item[method], "parameters": shared + item[method].get("parameters", [])}
                        yield self._call(plane, path, method, operation)

    def follow(self, plane: str, node: Json) -> tuple[Json, str, str]:
        """What a node refers to, the file that holds it, its name there; what refers to nothing is itself, unnamed."""
        name = ""
        while "$ref" in node:
            file, _, pointer = str(node["$ref"]).partition("#/")
            plane = file or plane
            target: Any = self.planes[plane]
            for part in pointer.split("/"):
                target = target[part]
            node, name = target, pointer.rpartition("/")[2]
        return node, plane, name

    def events(self) -> tuple[dict[str, str], list[str]]:
        """The component of each event of a stream, and the events that close one."""
        operation = self.planes[DATA.name]["paths"]["/v1/tasks/{id}/stream"]["get"]
        content = operation["responses"]["200"]["content"]["text/event-stream"]
        components = {event: node["$ref"].rpartition("/")[2] for event, node in content["x-sse-events"].items()}
        return components, content["x-sse-terminal"]

    def answer_headers(self) -> dict[str, Json]:
        """The headers of successes, by name."""
        found: dict[str, Json] = {}
        for plane, document in self.planes.items():
            operations = (item[method] for item in document["paths"].values() for method in METHODS if method in item)
            for operation in operations:
                for _, response, at in self._successes(plane, operation):
                    found |= {n: self.follow(at, h)[0] for n, h in response.get("headers", {}).items()}
        return found

    def _call(self, plane: str, path: str, method: str, operation: Json) -> Call:
        (status, success, at), *others = self._successes(plane, operation)
        answer, is_stream = self._answer(at, success)
        if len(others) != (1 if is_stream else 0):  # a stream has 204 too: nothing comes any more
            raise UnknownKeywordError(f"{operation['operationId']}: more than one kind of success")
        arguments = self._arguments(plane, path, operation)
        if len(success.get("content", ())) > 1:
            _choose_format(arguments, list(success["content"]))
        if is_stream:
            argument = arguments.headers.pop("Last-Event-ID")  # a resumed stream sends its own
            arguments.sent.append(f"{argument}={argument}")
        return Call(
            operation_id=operation["operationId"],
            name=snake(operation["operationId"]),
            method=method.upper(),
            path=path,
            summary=operation["summary"],
            description=operation.get("description", ""),
            arguments=arguments,
            status=int(status),
            answer=answer,
            is_stream=is_stream,
            success=success["description"],
            refusals={
                refusal: self.follow(plane, response)[0]["description"]
                for refusal, response in sorted(operation["responses"].items())
                if refusal >= "400"
            },
        )

    def _successes(self, plane: str, operation: Json) -> list[tuple[str, Json, str]]:
        followed = [(status, *self.follow(plane, node)[:2]) for status, node in operation["responses"].items()]
        return [one for one in followed if one[0].startswith("2")]

    def _arguments(self, plane: str, path: str, operation: Json) -> Arguments:
        found = Arguments()
        for reference in operation["parameters"]:
            parameter, _, component = self.follow(plane, reference)
            is_path = parameter["in"] == "path" and path.count("{") == 1 and f"{{{parameter['name']}}}" in path
            name = snake(component if is_path else parameter["name"]).removeprefix("x_")
            kind = PYTHON[parameter["schema"]["type"]]
            found.docs[name] = parameter["description"]
            if is_path:
                found.positional.append(f"{name}: {kind}")
                found.sent.append(f"id={name}")
            elif parameter["in"] == "header" and not parameter.get("required"):
                found.keyword.append(f"{name}: {kind} | None = None")
                found.headers[parameter["name"]] = name
            else:
                raise UnknownKeywordError(f"{operation['operationId']}: parameter {parameter}")
        if "requestBody" in operation:
            ((_, content),) = operation["requestBody"]["content"].items()
            body, _, component = self.follow(plane, content["schema"])
            name = snake(component)
            found.positional.append(f"{name}: models.{component}")
            found.docs[name] = body.get("description", "What is asked for.")
            found.sent.append(f"body={name}")
        return found

    def _answer(self, plane: str, response: Json) -> tuple[str, bool]:
        """The type of a success's body, and whether it is a stream."""
        content = response.get("content")
        if content is None:
            return "None", False
        if all(entry.get("schema") == {"type": "string"} for entry in content.values()):
            return "str", False
        ((media, entry),) = content.items()
        if "x-sse-events" in entry:
            return "None", True
        schema, _, component = self.follow(plane, entry["schema"])
        if media != "application/json" or schema.get("type") != "object" or not component:
            raise UnknownKeywordError(f"an answer that is no text, no stream and no component as JSON: {content}")
        return f"models.{component}", False


def snake(name: str) -> str:
    """`createTask` and `X-Correlation-Id` as Python names."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("-", "_").lower()


def _choose_format(arguments: Arguments, media: list[str]) -> None:
    literal = ", ".join(f'"{name}"' for name in media)
    arguments.keyword.insert(0, f'accept: Literal[{literal}] = "{media[0]}"')
    arguments.docs["accept"] = "The format that is asked for."
    arguments.headers["Accept"] = "accept"

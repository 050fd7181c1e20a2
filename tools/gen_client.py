"""Generates the OrchQueue client (`contracts/client/`): its operations, frames, headers and error types.

A template over the OpenAPI files: what is the same in every call is written by hand in `contracts/client`, what
differs comes from the contract, docstrings included. The types of bodies are those of `gen_models`.

Source: ORCH-3101.
"""

import textwrap
from pathlib import Path
from typing import Any

import yaml

from tools.calls import CONTROL, DATA, PYTHON, Call, Contract, snake
from tools.gen_models import HEADER

FOLDER = Path("contracts/client")
ERRORS = Path("contracts/errors.yaml")
WIDTH = 110
BOTH = HEADER.format(source=f"{DATA} and {CONTROL}")

CLIENTS = (
    ("OrchQueueClient", "Connection", "", "that blocks"),
    ("AsyncOrchQueueClient", "AsyncConnection", "async ", "for asyncio and trio"),
)
OPERATIONS = """{header}
from typing import Literal

from contracts.client import models
from contracts.client.answers import Answer, Operation
from contracts.client.connections import AsyncConnection, Connection
from contracts.client.streams import AsyncTaskStream, TaskStream

{constants}


{classes}
"""
OPERATION = """{constant} = Operation(
    name="{name}", method="{method}", path="{path}", status={status}, answer={answer}
)"""
FRAMES = """{header}
from typing import Literal, TypeAlias

from contracts.models.data import {imports}

Frame: TypeAlias = {union}
EventName: TypeAlias = Literal[{events}]

FRAMES: dict[str, type[Frame]] = {{
{rows}
}}
TERMINAL = ({terminal})
\"""Exactly one of these closes a stream.\"""
"""
HEADERS = """{header}
from collections.abc import Mapping


class AnswerHeaders:
    \"""The headers that the contract gives its answers, by their meaning; None where an answer has none.

    A header that is not what the contract says raises ValueError.

    Attributes:
        headers: all of them, by names of any case.
    \"""

    __slots__ = ()

    headers: Mapping[str, str]

{properties}
"""
PROPERTY = """    @property
    def {name}(self) -> {kind} | None:
        \"""{doc}\"""
        text = self.headers.get("{header}")
        return None if text is None else {kind}(text)"""
ERROR_TYPES = """{header}
from contracts.client.failures import ApiError


{classes}


BY_CODE: dict[str, type[ApiError]] = {{
{rows}
}}
"""
ERROR_TYPE = '''class {name}(ApiError):
    """{doc}"""

    CODE = "{code}"
    RETRIABLE = {retriable}'''


def generate(root: Path) -> dict[Path, str]:
    """The text of every generated file, by path relative to `root`."""
    contract = Contract(root)
    registry = yaml.safe_load((root / ERRORS).read_text(encoding="utf-8"))
    return {
        FOLDER / "operations.py": _operations(contract),
        FOLDER / "frames.py": _frames(contract),
        FOLDER / "answer_headers.py": _answer_headers(contract),
        FOLDER / "error_types.py": _error_types(registry),
    }


def _operations(contract: Contract) -> str:
    calls = list(contract.calls())
    constants = "\n".join(
        OPERATION.format(
            constant=call.name.upper(),
            name=call.name,
            method=call.method,
            path=call.path,
            status=call.status,
            answer="type(None)" if call.answer == "None" else call.answer,
        )
        for call in calls
    )
    classes = "\n\n\n".join(
        f'class {name}({base}):\n    """OrchQueue {contract.version}, a client {form}: '
        'a method for each operation of both planes."""\n\n' + "\n\n".join(_method(call, word) for call in calls)
        for name, base, word, form in CLIENTS
    )
    return OPERATIONS.format(header=BOTH, constants=constants, classes=classes)


def _method(call: Call, word: str) -> str:
    arguments = call.arguments
    answer = f"{'Async' if word else ''}TaskStream" if call.is_stream else f"Answer[{call.answer}]"
    headers = ", ".join(f'"{name}": {argument}' for name, argument in arguments.headers.items())
    sent = ", ".join([call.name.upper(), *arguments.sent, f"headers={{{headers}}}"])
    run = f"self._stream({sent})" if call.is_stream else f"{'await ' if word else ''}self._call({sent})"
    taken = ", ".join(["self", *arguments.positional, "*", *arguments.keyword])
    return (
        f"    {'' if call.is_stream else word}def {call.name}({taken}) -> {answer}:\n"
        + textwrap.indent(_docstring(call), " " * 8)
        + f"\n        return {run}"
    )


def _docstring(call: Call) -> str:
    names = [argument.partition(":")[0] for argument in [*call.arguments.positional, *call.arguments.keyword]]
    described = "\n".join(_filled(f"{name}: {call.arguments.docs[name]}", "    ") for name in names)
    refusals = "\n".join(_filled(f"{status}: {text}", "        ") for status, text in call.refusals.items())
    parts = [
        f'"""{call.summary} `{call.method} {call.path}`',
        *([_filled(call.description)] if call.description else []),
        f"Args:\n{described}",
        f"Returns:\n{_filled(call.success, '    ')}",
        f"Raises:\n    ApiError: a subclass by the code of the refusal:\n{refusals}",
    ]
    return "\n\n".join(parts) + '\n"""'


def _filled(text: str, indent: str = "") -> str:
    return textwrap.fill(
        " ".join(text.split()), WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
    )


def _frames(contract: Contract) -> str:
    events, terminal = contract.events()
    names = list(dict.fromkeys(events.values()))
    return FRAMES.format(
        header=HEADER.format(source=DATA),
        imports=", ".join(sorted(names)),
        union=" | ".join(names),
        events=", ".join(f'"{event}"' for event in events),
        rows="\n".join(f'    "{event}": {name},' for event, name in events.items()),
        terminal=", ".join(f'"{event}"' for event in terminal),
    )


def _answer_headers(contract: Contract) -> str:
    properties = (
        PROPERTY.format(
            name=snake(name).removeprefix("x_"),
            kind=PYTHON[header["schema"]["type"]],
            doc=header["description"],
            header=name,
        )
        for name, header in contract.answer_headers().items()
    )
    return HEADERS.format(header=BOTH, properties="\n\n".join(properties))


def _error_types(registry: dict[str, dict[str, Any]]) -> str:
    return ERROR_TYPES.format(
        header=HEADER.format(source=ERRORS),
        classes="\n\n\n".join(
            ERROR_TYPE.format(name=error_name(code), code=code, doc=entry["doc"], retriable=entry["retriable"])
            for code, entry in registry.items()
        ),
        rows="\n".join(f'    "{code}": {error_name(code)},' for code in registry),
    )


def error_name(code: str) -> str:
    """The class of an error code, such as `DeadlineUnmetError`."""
    return "".join(part.capitalize() for part in code.split("_")) + "Error"

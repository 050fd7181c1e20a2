"""Request bodies: from bytes to what the domain takes, or to an error that says what is wrong.

The generated models hold the contract's constraints; what JSON Schema says in words of several fields is checked here.

Source: ORCH-2001, ORCH-2006, OC-CTRL-2010.
"""

import asyncio
import hashlib
import json
import re
from collections.abc import Hashable
from functools import cache
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from contracts.models.data import Task as TaskBody
from reference_server.domain.task import TaskRequest, seed_of
from reference_server.web.errors import EdgeError
from reference_server.web.keys import CONFIG

T = TypeVar("T")

QUOTED = re.compile("Invalid enum value '.*'", re.DOTALL)  # a value may be anything, a misplaced prompt among it

NAME = re.compile(rb'"(\w+)"\s*:')

UNSIGNED_64 = 2**64 - 1


async def read(request: web.Request, shape: type[T]) -> T:
    """Read and validate a JSON body.

    Raises:
        EdgeError: UNSUPPORTED_MEDIA_TYPE, REQUEST_TIMEOUT, or INVALID_PARAMS naming the field.
        web.HTTPRequestEntityTooLarge: over the limit.
    """
    if request.content_type != "application/json":
        raise EdgeError("UNSUPPORTED_MEDIA_TYPE", "send the body as Content-Type: application/json")
    raw = await _bytes_of(request)
    try:
        if not _is_distinct(raw, shape):
            json.loads(raw, object_pairs_hook=_require_distinct, parse_int=len, parse_float=len)  # only names matter
        return _decode(raw, shape)
    except msgspec.ValidationError as error:
        # wire code: a deadline that cannot be met has a code of its own, also when it is no deadline at all
        code = "DEADLINE_UNMET" if str(error).endswith("`$.deadline_ms`") and ">= 1" in str(error) else "INVALID_PARAMS"
        raise EdgeError(code, QUOTED.sub("Invalid enum value", str(error))) from None
    except (msgspec.DecodeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise EdgeError("INVALID_PARAMS", f"the body is not JSON: {error}") from None
    except RecursionError:
        raise EdgeError("INVALID_PARAMS", "the body is nested too deeply") from None


async def _bytes_of(request: web.Request) -> bytes:
    if request.content.is_eof():  # it came with its head, as small ones do: there is nothing to wait for
        raw = request.content.read_nowait()
        while not request.content.at_eof():
            raw += request.content.read_nowait()
        if len(raw) > request.client_max_size:
            raise web.HTTPRequestEntityTooLarge(request.client_max_size)
        return raw
    try:
        async with asyncio.timeout(request.app[CONFIG].config.http.body_ms / 1000):
            return await request.read()
    except TimeoutError:
        raise EdgeError("REQUEST_TIMEOUT", "the body did not arrive in time", headers={"Connection": "close"}) from None


def _is_distinct(raw: bytes, shape: type[Any]) -> bool:
    """Seen at a glance: no name of a flat shape comes twice. False = it may, and has to be looked at closely.

    Unknown names are refused by the shape, so that only its own can come twice; of their letters only `\\u00` makes
    another spelling. Quotes inside a text are escaped, so that what looks like a name and a colon is one.
    """
    if b"\\u" in raw or not _is_flat_shape(shape):  # type: ignore[arg-type]  # a class is hashable
        return False
    names = NAME.findall(raw)
    return len(set(names)) == len(names)


@cache
def _is_flat_shape(shape: Hashable) -> bool:
    """Of known names alone, and without an object inside."""
    if not (isinstance(shape, type) and issubclass(shape, msgspec.Struct)):
        return False
    if not shape.__struct_config__.forbid_unknown_fields:
        return False
    schema = msgspec.json.schema(shape)
    fields = schema["$defs"][shape.__name__]["properties"]
    return len(schema["$defs"]) == 1 and all(_is_flat(field) for field in fields.values())


def _is_flat(field: dict[str, Any]) -> bool:
    kinds = {"string", "integer", "number", "boolean"}
    return field.get("type") in kinds or "enum" in field or (field.get("type") == "array" and _is_flat(field["items"]))


def _require_distinct(pairs: list[tuple[str, Any]]) -> None:
    """RFC 8259 leaves open what a name that comes twice means, so that two readers could see two tasks: refuse it."""
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise EdgeError("INVALID_PARAMS", f"the field `{twice[:64]}` comes twice")


def _decode(raw: bytes, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(raw, type=shape)
    except msgspec.ValidationError as error:
        if "got `float`" not in str(error):
            raise
    # JSON has one kind of number: 1.0 is an integer to JSON Schema, and some languages send it so.
    return msgspec.convert(_integral(msgspec.json.decode(raw)), shape)


def _integral(value: Any) -> Any:
    match value:
        case dict():
            return {key: _integral(item) for key, item in value.items()}
        case list():
            return [_integral(item) for item in value]
        case float() if value.is_integer():
            return int(value)
        case _:
            return value


def task_request(body: TaskBody, *, correlation_id: str) -> TaskRequest:
    """What the domain takes, from a validated body.

    Raises:
        EdgeError: INVALID_PARAMS: `prompt` and `inputs` do not fit each other or the workload.
    """
    task_id = body.task_id.lower()
    seed = seed_of(task_id) if body.seed is msgspec.UNSET else body.seed & UNSIGNED_64
    return TaskRequest(
        task_id=task_id,
        session_id=body.session_id.lower(),
        workload=body.workload,
        model_ref=body.model_ref,
        engine=body.engine,
        ctx=body.ctx,
        priority=body.priority,
        max_tokens=body.max_tokens,
        deadline_ms=body.deadline_ms,
        seed=seed,
        strict=body.determinism != "best_effort",
        inputs=_inputs(body),
        fingerprint=hashlib.blake2b(msgspec.json.encode(body), digest_size=16).digest(),
        sampler_profile_version=_or_none(body.sampler_profile_version),
        expected_tokens=_or_none(body.expected_tokens),
        reuse_cache=body.kv_hint == "reuse",
        cancel_on_disconnect=body.on_disconnect == "cancel",
        correlation_id=correlation_id,
        label=_or_none(body.label),
    )


def _or_none(value: T | msgspec.UnsetType) -> T | None:
    return None if isinstance(value, msgspec.UnsetType) else value


def _inputs(body: TaskBody) -> tuple[str, ...]:
    prompt, inputs = _or_none(body.prompt), _or_none(body.inputs)
    if (prompt is None) == (inputs is None):
        raise EdgeError("INVALID_PARAMS", "send exactly one of `prompt` and `inputs`")
    inputs = (prompt,) if prompt is not None else inputs or ()
    if body.workload == "completion" and len(inputs) != 1:
        raise EdgeError("INVALID_PARAMS", "a completion takes one text: send `prompt`, or `inputs` with one item")
    if body.workload == "rerank" and len(inputs) < 2:
        raise EdgeError("INVALID_PARAMS", "a rerank takes `inputs`: the query first, then one document or more")
    return inputs

"""Bodies and bytes that a server has to refuse, by the name that features give them. Data, no steps."""

import json
from collections.abc import Callable, Mapping
from typing import Any

DEEP = 100_000
LARGE_BYTES = 10_000_000

Task = Mapping[str, Any]


def dumped(value: object) -> bytes:
    """JSON as a client would send it."""
    return json.dumps(value, ensure_ascii=False).encode()


def _with(**changes: Any) -> Callable[[Task], bytes]:
    return lambda task: dumped({**task, **changes})


def _without(field: str) -> Callable[[Task], bytes]:
    return lambda task: dumped({name: value for name, value in task.items() if name != field})


def _literal(field: str, literal: str) -> Callable[[Task], bytes]:
    """The field's value as this text, which `json.dumps` would not write."""
    return lambda task: dumped({**task, field: "@"}).replace(b'"@"', literal.encode())


def _inputs(value: object) -> Callable[[Task], bytes]:
    return lambda task: dumped({**{k: v for k, v in task.items() if k != "prompt"}, "inputs": value})


BODIES: Mapping[str, Callable[[Task], bytes]] = {
    # not JSON
    "nothing": lambda _: b"",
    "plain-text": lambda _: b"write me a haiku",
    "a-form": lambda _: b"task_id=1&prompt=hello",
    "half-a-task": lambda task: dumped(task)[:-20],
    "a-task-and-more": lambda task: dumped(task) + b"x",
    "two-tasks": lambda task: dumped(task) * 2,
    "broken-utf-8": lambda task: dumped({**task, "prompt": "@"}).replace(b"@", b"\xff\xc3\x28"),
    "utf-16": lambda task: dumped(task).decode().encode("utf-16"),
    "a-lone-surrogate": _literal("prompt", r'"\ud800"'),
    "nan": _literal("max_tokens", "NaN"),
    "infinity": _literal("max_tokens", "Infinity"),
    "single-quotes": lambda task: dumped(task).replace(b'"', b"'"),
    "nested-100000-deep": lambda _: b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    # not an object
    "an-array": lambda task: dumped([task]),
    "a-string": lambda _: b'"task"',
    "a-number": lambda _: b"17",
    "null": lambda _: b"null",
    # other fields
    "an-empty-object": lambda _: b"{}",
    "an-unknown-field": _with(temperature=0.7),
    "a-field-twice": lambda task: dumped(task)[:-1] + b', "max_tokens": 9}',
    "a-deep-unknown-field": lambda task: dumped(task)[:-1] + b', "a": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    "no-task_id": _without("task_id"),
    "no-session_id": _without("session_id"),
    "no-engine": _without("engine"),
    "no-deadline_ms": _without("deadline_ms"),
    "no-prompt": _without("prompt"),
    "prompt-and-inputs": _with(inputs=["one"]),
    "no-inputs-in-the-list": _inputs([]),
    "two-inputs": _inputs(["one", "two"]),
    # other types
    "ctx-as-text": _with(ctx="2048"),
    "ctx-as-a-fraction": _with(ctx=20.48),
    "ctx-as-true": _with(ctx=True),
    "ctx-as-null": _with(ctx=None),
    "prompt-as-a-number": _with(prompt=5),
    "prompt-as-an-object": _with(prompt={"text": "hello"}),
    "inputs-as-text": _inputs("one"),
    "inputs-of-numbers": _inputs([1]),
    "task_id-as-a-number": _with(task_id=7),
    "deadline_ms-as-text": _with(deadline_ms="soon"),
    # other values
    "a-task_id-of-text": _with(task_id="my-task"),
    "a-task_id-without-dashes": lambda task: dumped({**task, "task_id": str(task["task_id"]).replace("-", "")}),
    "a-task_id-in-braces": lambda task: dumped({**task, "task_id": f"{{{task['task_id']}}}"}),
    "a-task_id-as-urn": lambda task: dumped({**task, "task_id": f"urn:uuid:{task['task_id']}"}),
    "a-session_id-of-text": _with(session_id="my-session"),
    "an-unknown-engine": _with(engine="openai"),
    "an-unknown-priority": _with(priority="urgent"),
    "an-unknown-workload": _with(workload="chat"),
    "an-unknown-determinism": _with(determinism="maybe"),
    "an-unknown-on_disconnect": _with(on_disconnect="explode"),
    "an-empty-prompt": _with(prompt=""),
    "an-empty-model_ref": _with(model_ref=""),
    # huge and small numbers
    "ctx-0": _with(ctx=0),
    "ctx-minus-1": _with(ctx=-1),
    "max_tokens-0": _with(max_tokens=0),
    "max_tokens-beyond-int32": _with(max_tokens=2**31),
    "deadline_ms-beyond-int64": _with(deadline_ms=2**63),
    "seed-beyond-int64": _with(seed=2**63),
    "seed-below-int64": _with(seed=-(2**63) - 1),
    "ctx-1e400": _literal("ctx", "1e400"),
    "ctx-of-5000-digits": _literal("ctx", "9" * 5_000),
}

CORRELATION_IDS: Mapping[str, bytes] = {
    "has-129-characters": b"X-Correlation-Id: " + b"x" * 129,
    "has-9000-characters": b"X-Correlation-Id: " + b"x" * 9_000,
    "has-a-tab": b"X-Correlation-Id: mark\ter",
    "has-a-nul": b"X-Correlation-Id: mark\0er",
    "has-an-escape": b"X-Correlation-Id: mark\x1b[31mer",
    "has-a-carriage-return": b"X-Correlation-Id: mark\rer",
    "injects-a-header": b"X-Correlation-Id: marker\r\n\tX-Injected: marker",
    "is-latin-1": b"X-Correlation-Id: mark\xe9r",
    "is-utf-8": b"X-Correlation-Id: mark\xc3\xa9r",
    "is-empty": b"X-Correlation-Id: ",
    "is-sent-twice": b"X-Correlation-Id: marker\r\nX-Correlation-Id: other",
}
"""Whole header lines; each holds `marker`, `mark` or x's, by which its text is found again."""

JSON = b"Content-Type: application/json\r\n"


def chunked(body: bytes, *, size: int = 64 * 1024) -> bytes:
    """A body in chunks."""
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def _length(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n" % len(body)


Request = Callable[[bytes, bytes], bytes]
"""From a valid request's head (request line, Host, token; without the blank line) and body to bytes to send."""


def _with_line(line: bytes) -> Request:
    """A valid request with one more header line."""
    return lambda head, body: head + line + JSON + _length(body) + b"\r\n" + body


def _with_framing(lines: bytes, framed: Callable[[bytes], bytes] = bytes) -> Request:
    """A request whose body is announced by these lines."""
    return lambda head, body: head + JSON + lines + b"\r\n" + framed(body)


NOT_HTTP: Mapping[str, Request] = {
    "a-line-of-noise": lambda head, body: b"\x01\x02\x03 what is this\r\n\r\n",
    "a-nul-in-the-path": lambda head, body: (
        head.replace(b"/v1/tasks ", b"/v1/\0tasks ") + JSON + _length(body) + b"\r\n" + body
    ),
    "a-space-in-a-header-name": _with_line(b"X Broken: 1\r\n"),
    "a-header-without-colon": _with_line(b"broken\r\n"),
    "a-header-of-20-kB": _with_line(b"X-Long: " + b"x" * 20_000 + b"\r\n"),
    "a-length-that-is-no-number": _with_framing(b"Content-Length: many\r\n"),
    "a-negative-length": _with_framing(b"Content-Length: -5\r\n"),
    "two-lengths": _with_line(b"Content-Length: 7\r\n"),
    "a-length-and-chunks": _with_framing(b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n", chunked),
    "chunks-that-are-none": _with_framing(
        b"Transfer-Encoding: chunked\r\n", lambda body: b"zz\r\n" + body + b"\r\n0\r\n\r\n"
    ),
    "a-tls-hello": lambda head, body: bytes.fromhex("16030100c8010000c40303") + bytes(range(100)) + b"\r\n\r\n",
}

UNFINISHED: Mapping[str, Request] = {
    "nothing": lambda head, body: b"",
    "half-a-request-line": lambda head, body: head[:8],
    "half-the-headers": lambda head, body: head[: len(head) // 2],
    "the-headers-only": lambda head, body: head + JSON + _length(body) + b"\r\n",
    "half-the-body": lambda head, body: head + JSON + _length(body) + b"\r\n" + body[: len(body) // 2],
    "half-the-chunks": lambda head, body: (
        head + JSON + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(body, size=64)[:80]
    ),
}
"""Beginnings of a valid request, after which the client goes away."""

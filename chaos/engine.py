"""An engine of our own that can be killed, stopped and told to die, and that keeps a witness of what it was asked.

A llama-server stand-in as a process of its own: it takes llama-server's arguments, so that a server under test can
start it as its engine, and says of itself that it is a stand-in. The witness is a file of JSON lines, the second
opinion beside what clients saw:

    {"event": "up", "at_ms": 12.5, "pid": 7, "port": 4711}
    {"event": "asked", "at_ms": 13.0, "pid": 7, "task": "…", "busy": 1}     a completion came in; `busy` with this one
    {"event": "ending", "at_ms": 15.0, "pid": 7, "task": "…", "tokens": 8, "digest": "…"}  before its last frame leaves
    {"event": "let-go", "at_ms": 15.5, "pid": 7, "task": "…"}              its slot is idle again
    {"event": "dying", "at_ms": 16.0, "pid": 7, "fault": "cuda-error"}

Times are the machine's monotonic milliseconds, which the harness's clock counts too. A task is the first word of its
prompt; a prompt without one (a server's self-test) has `task: null`.
"""

import argparse
import asyncio
import hashlib
import json
import os
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from harness.engines.llamacpp import LlamaCppFormat
from harness.engines.script import Script
from harness.engines.stand_in import StandIn
from harness.engines.wire_format import Asked, JsonAnswer
from harness.history import now_ms

DIE_PATH = "/chaos/die"
SHUTDOWN_S = 0.1


class Witness:
    """Appends to the file; each line is on its way to the disk before the engine goes on."""

    def __init__(self, path: Path) -> None:
        self._handle = path.open("a", encoding="utf-8", buffering=1)

    def tell(self, event: str, **facts: Any) -> None:
        """One line."""
        self._handle.write(json.dumps({"event": event, "at_ms": now_ms(), "pid": os.getpid(), **facts}) + "\n")


class WitnessedFormat(LlamaCppFormat):
    """llama-server's API with real slots."""

    def __init__(self, witness: Witness, *, slots: int, ctx: int) -> None:
        self.active: dict[int, str | None] = {}
        self._witness, self.slots, self._ctx = witness, slots, ctx

    def get(self, path: str, version: str) -> JsonAnswer | None:
        """Slots and contexts as they are."""
        if path == "/slots":
            rows = [{"id": n, "n_ctx": self._ctx, "is_processing": n in self.active} for n in range(self.slots)]
            return 200, rows
        status, body = super().get(path, version) or (404, None)
        if path == "/props" and isinstance(body, dict):
            settings = {**body["default_generation_settings"], "n_ctx": self._ctx}
            body = {**body, "total_slots": self.slots, "default_generation_settings": settings}
        return (status, body) if body is not None else None

    def end(self, text: str, count: int, asked: Asked) -> bytes:
        """Written down before it is sent: what comes after it on the wire came after it in time."""
        self._witness.tell("ending", task=task_of(asked.prompt), tokens=count, digest=digest_of(text))
        return super().end(text, count, asked)


@dataclass(slots=True)
class WitnessedStandIn(StandIn):
    """A stand-in that writes down whom it works for, and that dies when it is told to."""

    witness: Witness | None = None

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Any request."""
        assert self.witness is not None  # noqa: S101 - given by `serve`
        assert isinstance(self.wire, WitnessedFormat)  # noqa: S101
        if request.path == DIE_PATH:
            order = await request.json()
            self.witness.tell("dying", fault=order["fault"])
            sys.stderr.write(order["say"] + "\n")
            sys.stderr.flush()
            os._exit(order["code"])
        if request.path not in self.wire.stream_paths:
            return await StandIn.answer(self, request)
        body = await request.json()
        task, slot = task_of(body["prompt"]), self._slot(int(body.get("id_slot", -1)))
        self.wire.active[slot] = task
        self.witness.tell("asked", task=task, busy=len(self.wire.active))
        try:
            return await StandIn.answer(self, request)
        finally:
            self.wire.active.pop(slot, None)
            self.witness.tell("let-go", task=task)

    def _slot(self, wanted: int) -> int:
        """The slot that was asked for; the next free one where none was, or where it is taken."""
        assert isinstance(self.wire, WitnessedFormat)  # noqa: S101
        if wanted >= 0 and wanted not in self.wire.active:
            return wanted
        return next(n for n in range(len(self.wire.active) + 1) if n not in self.wire.active)


def task_of(prompt: str) -> str | None:
    """The task that a prompt names as its first word."""
    word = prompt.partition(" ")[0]
    try:
        return str(uuid.UUID(word))
    except ValueError:
        return None


def digest_of(text: str) -> str:
    """Of an answer's text: readers' text is compared with it."""
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


async def serve(arguments: argparse.Namespace) -> None:
    """Answer until the process ends."""
    witness = Witness(arguments.witness)
    slots, ctx = arguments.parallel, arguments.c // arguments.parallel
    wire = WitnessedFormat(witness, slots=slots, ctx=ctx)
    engine = WitnessedStandIn(wire, Script(delay_s=arguments.token_ms / 1000), witness=witness)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", engine.answer)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    await web.TCPSite(runner, arguments.host, arguments.port).start()
    port = runner.addresses[0][1]
    witness.tell("up", port=port)
    sys.stdout.write(json.dumps({"event": "ready", "url": f"http://{arguments.host}:{port}"}) + "\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().create_future()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run as llama-server would; of its arguments those that matter here are read."""
    parser = argparse.ArgumentParser(prog="chaos.engine", allow_abbrev=False)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--parallel", type=int, default=1)
    parser.add_argument("-c", type=int, default=2048)
    parser.add_argument("--witness", type=Path, required=True)
    parser.add_argument("--token-ms", type=float, default=2.0)
    known, _ = parser.parse_known_args(arguments)
    asyncio.run(serve(known))


if __name__ == "__main__":
    main()

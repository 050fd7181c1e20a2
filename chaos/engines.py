"""The engines of a run, all of them witnessed stand-ins: started by the server, or attached and kept by the run.

A supervised engine is the server's own child, so that its death and restart are the server's affair. An attached one
lives on when the server dies, and a proxy may stand before it.
"""

import json
import os
import select
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from chaos.engine import DIE_PATH
from chaos.workloads.workload import Pool
from harness.process import Process
from harness.target import READY_MS, ready_line

STOP_MS = 3_000
RESTART_S = 30.0  # a server's pauses between restarts grow
LOOK_S = 0.02
DIE_ANSWER_S = 2.0
DEAD_S = 10.0  # from its end to a process that is no more, on a busy machine

LAUNCHER = """#!/bin/sh
# The stand-in in place of llama-server: it is given llama-server's arguments.
exec "{python}" -m chaos.engine "$@"
"""


class Engines:
    """The engines of one run, and their witness.

    Attributes:
        witness: the file of JSON lines that `chaos.engine` describes.
    """

    def __init__(self, pool: Pool, *, folder: Path) -> None:
        self.witness = folder / "witness.jsonl"
        self.witness.touch()
        self._pool = pool
        self._folder = folder
        self._attached: Process | None = None

    @property
    def _own_arguments(self) -> list[str]:
        return ["--witness", str(self.witness), "--token-ms", str(self._pool.token_ms)]

    def supervised(self) -> dict[str, Any]:
        """The replica's settings for an engine that the server starts."""
        binary, model = self._folder / "stand-in-llama-server", self._folder / "model.gguf"
        binary.write_text(LAUNCHER.format(python=sys.executable), encoding="utf-8")
        binary.chmod(0o755)
        model.write_bytes(b"GGUF")
        settings = {"kind": "supervised", "binary": str(binary), "model_file": str(model), "memory_bytes": 1}
        return {**settings, "slots": self._pool.slots, "ctx": self._pool.ctx, "args": self._own_arguments}

    def attach(self) -> str:
        """Start one of our own; its address."""
        shape = ["--parallel", str(self._pool.slots), "-c", str(self._pool.slots * self._pool.ctx)]
        command = [sys.executable, "-m", "chaos.engine", *shape, *self._own_arguments]
        process = self._attached = Process(command, folder=self._folder / "engine")
        process.wait_ready(lambda: ready_line(process) is not None, deadline_ms=READY_MS)
        return str((ready_line(process) or {})["url"])

    def lines(self) -> list[dict[str, Any]]:
        """The witness so far; a line that is still being written is left out."""
        whole = self.witness.read_text(encoding="utf-8").rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    def alive(self) -> dict[int, int]:
        """Port by process id, of every engine that came up and lives."""
        up = {line["pid"]: line["port"] for line in self.lines() if line["event"] == "up"}
        return {pid: port for pid, port in up.items() if is_alive(pid)}

    def some_alive(self) -> dict[int, int]:
        """The same, once there is one: a server takes a moment to start the next. Empty after a while."""
        until = time.monotonic() + RESTART_S
        while not (found := self.alive()) and time.monotonic() < until:
            time.sleep(LOOK_S)
        return found

    def at_work(self, pid: int) -> list[str]:
        """The tasks that an engine has begun and not ended."""
        working: dict[str, None] = {}
        for line in self.lines():
            if line["pid"] == pid and line.get("task"):
                working.pop(line["task"], None)
                if line["event"] == "asked":
                    working[line["task"]] = None
        return list(working)

    def tell_to_die(self, port: int, *, fault: str, say: str, code: int) -> None:
        """Have one print its last words and exit."""
        order = {"fault": fault, "say": say, "code": code}
        try:
            httpx.post(f"http://127.0.0.1:{port}{DIE_PATH}", json=order, timeout=DIE_ANSWER_S, trust_env=False)
        except httpx.HTTPError:
            return  # it dies before it answers

    def stop(self) -> None:
        """End the attached one."""
        if self._attached is not None:
            self._attached.stop(deadline_ms=STOP_MS)


def is_alive(pid: int) -> bool:
    """It runs, or is stopped; a zombie does not."""
    return state_of(pid) not in {"", "Z", "X"}


def is_dead_soon(pid: int, *, seconds: float = DEAD_S) -> bool:
    """Wait for the end of a process, however it was brought about; whether it came in time."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)  # readable once it has ended (pidfd_open(2))
        return bool(poll.poll(seconds * 1000))
    finally:
        os.close(handle)


def state_of(pid: int) -> str:
    """The state letter of a process (proc(5)); empty when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""

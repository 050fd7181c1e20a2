"""Programs that tests put before the real ones on the PATH: they note how they were called, and do little else."""

import json
import sys
from pathlib import Path

RECORDER = """#!{python}
import json, os, sys
with open({log!r}, "a") as log:
    log.write(json.dumps([{name!r}, *sys.argv[1:]]) + "\\n")
{body}
"""

RUNTIME = """
state = {state!r}
match sys.argv[1:]:
    case ["version", *_]:
        print("28.0.1")
    case ["image", "inspect", *_, image]:
        if not os.path.exists(state):
            sys.exit("No such image: " + image)
        print(open(state).read())
    case ["pull", *_, image]:
        with open(state, "w") as kept:
            kept.write(json.dumps([{serves!r} or image]))
    case ["ps", *_]:
        print({left!r})
    case ["run", *_]:
        {run}
"""

CMAKE = """cmake_minimum_required(VERSION 3.16)
project(tiny C)
add_executable(llama-server main.c)
set_target_properties(llama-server PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
"""
"""Builds one C file as llama-server is built."""

CMAKE_THAT_NEVER_ENDS = """
if "--version" in sys.argv:
    sys.exit(print("cmake version 3.30.1"))
import signal
pipe = open("{begun}", "w")
print("begun", file=pipe, flush=True)
signal.pause()
"""
"""A body for `Programs.add`: `begun` is a named pipe that is open for as long as the program runs."""


class Programs:
    """A folder of recording programs.

    Attributes:
        folder: for the PATH.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._log = folder / "calls.jsonl"
        folder.mkdir()
        self._log.touch()

    def add(self, name: str, body: str = "") -> None:
        """A program that notes its arguments, and then runs this Python."""
        text = RECORDER.format(python=sys.executable, log=str(self._log), name=name, body=body)
        (self.folder / name).write_text(text, encoding="utf-8")
        (self.folder / name).chmod(0o755)

    def add_runtime(self, name: str, *, serves: str = "", left: str = "", run: str = "sys.exit(0)") -> None:
        """A container runtime that has no image until it has pulled one.

        Args:
            serves: what it says it has pulled; empty = what it was asked for.
            left: containers that it still has.
            run: Python for `run`.
        """
        state = str(self.folder / f"{name}.image")
        self.add(name, RUNTIME.format(state=state, serves=serves, left=left, run=run))

    def calls(self, name: str) -> list[list[str]]:
        """The arguments of each call of a program, in order."""
        lines = [json.loads(line) for line in self._log.read_text(encoding="utf-8").splitlines()]
        return [line[1:] for line in lines if line[0] == name]

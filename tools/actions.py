"""Finds what a workflow or an action names and nothing has: a step, an output, an input, a value of the matrix.

GitHub puts an empty text in the place of a name that it does not know, and goes on. What the schemas of workflows and
actions say is `check-jsonschema`'s affair, what an attacker can do is zizmor's. What the actions of other repositories
take is not looked at: nothing is fetched.

Source: OC-TEST-7044.
"""

import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(".github")
EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
TEXT = re.compile(r"'[^']*'")
NAME = re.compile(r"(?<![\w.'-])([a-zA-Z_][\w-]*)((?:\.[\w-]+)+)")
ANYWHERE = frozenset({"github", "runner", "job", "secrets", "vars", "strategy"})
OUTPUT = re.compile(r"([\w-]+)=.*GITHUB_OUTPUT", re.DOTALL)
BASH_S = 30


@dataclass(frozen=True, slots=True)
class Scope:
    """What may be named at one place.

    Attributes:
        known: names by context.
        outputs: those that each step before this place writes; None = those of another repository's action.
    """

    known: Mapping[str, frozenset[str]]
    outputs: Mapping[str, frozenset[str] | None] = field(default_factory=dict)


def problems(root: Path) -> list[str]:
    """One line for each name that nothing has, and for each script that bash cannot read."""
    files = sorted((root / FOLDER).glob("workflows/*.yml")) + sorted((root / FOLDER).glob("actions/*/action.yml"))
    if not files:
        return [f"{FOLDER}: no workflow and no action found"]
    return [
        f"{path.relative_to(root)}: {what}"
        for path in files
        for what in dict.fromkeys(_of(root, yaml.load(path.read_text("utf-8"), yaml.BaseLoader)))  # noqa: S506
    ]


def _of(root: Path, document: Mapping[str, Any]) -> Iterator[str]:
    if "runs" in document:
        inputs = frozenset(document.get("inputs", {}))
        scope = Scope({"inputs": inputs, "env": frozenset(), "matrix": frozenset(), "needs": frozenset()})
        yield from _steps(root, document["runs"].get("steps", ()), scope, document.get("outputs", {}))
        return
    for job in document.get("jobs", {}).values():
        matrix = job.get("strategy", {}).get("matrix", {})
        rows = [key for row in matrix.get("include", ()) for key in row]
        known = {
            "inputs": frozenset((document.get("on", {}).get("workflow_dispatch") or {}).get("inputs", {})),
            "env": frozenset({*document.get("env", {}), *job.get("env", {})}),
            "matrix": frozenset({*matrix, *rows}) - {"include", "exclude"},
            "needs": frozenset([job["needs"]] if isinstance(job.get("needs"), str) else job.get("needs", ())),
        }
        rest = {key: value for key, value in job.items() if key != "steps"}
        yield from _steps(root, job.get("steps", ()), Scope(known), rest)


def _steps(root: Path, steps: Sequence[Mapping[str, Any]], scope: Scope, rest: object) -> Iterator[str]:
    """Each step sees those before it, and the rest of the job or action sees all."""
    outputs: dict[str, frozenset[str] | None] = {}
    for step in steps:
        env = scope.known["env"] | frozenset(step.get("env", {}))
        yield from _unknown(step, Scope({**scope.known, "env": env}, outputs))
        yield from _misused(root, step)
        yield from _unreadable(step)
        if "id" in step:
            outputs[step["id"]] = frozenset(OUTPUT.findall(step["run"])) if "run" in step else None
    yield from _unknown(rest, Scope(scope.known, outputs))


def _unknown(value: object, scope: Scope) -> Iterator[str]:
    for expression in _expressions(value):
        for context, path in NAME.findall(TEXT.sub("", expression)):
            name, *more = path.removeprefix(".").split(".")
            if context == "steps":
                yield from _unknown_step(scope, name, more)
            elif context not in ANYWHERE and name not in scope.known.get(context, ()):
                yield f"nothing is called {context}.{name} here"


def _unknown_step(scope: Scope, name: str, more: Sequence[str]) -> Iterator[str]:
    if name not in scope.outputs:
        yield f"no step before it has the id {name}"
    elif (written := scope.outputs[name]) is not None and more[:1] == ["outputs"] and more[1] not in written:
        yield f"the step {name} writes no output {more[1]}"


def _expressions(value: object) -> Iterator[str]:
    """Every expression in a value and what it holds; a condition is one as a whole."""
    if isinstance(value, str):
        yield from EXPRESSION.findall(value)
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from [part] if key == "if" else _expressions(part)
    elif isinstance(value, list):
        for part in value:
            yield from _expressions(part)


def _misused(root: Path, step: Mapping[str, Any]) -> Iterator[str]:
    """An action of this repository that is not there, or is given what it does not take."""
    used = step.get("uses", "")
    if not used.startswith("./"):
        return
    path = root / used / "action.yml"
    if not path.is_file():
        yield f"there is no action {used}"
        return
    inputs = yaml.load(path.read_text("utf-8"), yaml.BaseLoader)["inputs"]  # noqa: S506
    given = step.get("with", {})
    yield from (f"{used} has no input {name}" for name in given if name not in inputs)
    needed = [name for name, told in inputs.items() if told.get("required") == "true"]
    yield from (f"{used} needs the input {name}" for name in needed if name not in given)


def _unreadable(step: Mapping[str, Any]) -> Iterator[str]:
    if "run" not in step:
        return
    command = ["bash", "-n", "-c", step["run"]]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=BASH_S)
    if done.returncode:
        yield f"bash cannot read the script of a step: {done.stderr.strip().splitlines()[0]}"

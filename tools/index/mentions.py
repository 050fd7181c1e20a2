"""Where requirement ids are named: in contracts, in features, in the marks of tests, in code. Read from files alone.

Nothing is imported or collected, so that the index is made in a second and of a tree that does not run.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from gherkin.parser import Parser

from harness.registry.check import slug
from harness.requirements import ID
from tools import tree

METHODS = ("get", "post", "put", "delete", "patch")
SERIES = re.compile(rf"({ID.pattern})((?:(?: … |, )(?:{ID.pattern}|\d{{4}})\b)*)")
CHECKED_PACKAGES = ("reference_server", "harness", "features", "contracts", "determinism", "chaos", "tools")


UNREADABLE = "an id that is not written out"
"""Stands for what a `req` mark computes: the index cannot read it, and nobody who searches for the id finds it."""


@dataclass(frozen=True, slots=True, order=True)
class Mention:
    """One place that names one id.

    Attributes:
        place: below the root, without line numbers, so that unrelated edits leave the index alone.
        check: the id under which a run reports it, as in `harness.registry.evidence`; empty for what is no check.
    """

    id: str
    place: str
    check: str = ""


# ── contracts ──


def in_contracts(root: Path) -> Iterator[Mention]:
    """`x-req-id` of operations and of fields, `req` of error codes and of series, and ids in any other file of data."""
    folder = root / "contracts"
    for path in sorted((folder / "openapi").glob("*.yaml")):
        document = _load(path)
        for name, part in (*_operations(document), *_fields(document)):
            for identifier in part.get("x-req-id", []):
                yield Mention(identifier, f"{path.relative_to(root)} {name}")
    for name, key in (("errors.yaml", None), ("metrics/series.yaml", "series")):
        if (path := folder / name).exists():
            document = _load(path)
            for entry, rule in (document if key is None else document[key]).items():
                for identifier in ID.findall(str(rule.get("req", ""))):
                    yield Mention(identifier, f"contracts/{name} {entry}")
    for path in tree.files(folder, {".yaml", ".json"}):
        if path.name not in {"requirements.json", "exclusions.yaml", "errors.yaml"} and path.parent.name != "openapi":
            for identifier in _ids(path.read_text(encoding="utf-8")):
                if path.name != "series.yaml":
                    yield Mention(identifier, str(path.relative_to(root)))


def _load(path: Path) -> Any:
    return yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - safe, in C


def _operations(document: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for item in document["paths"].values():
        yield from ((item[method]["operationId"], item[method]) for method in METHODS if method in item)


def _fields(document: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, schema in document.get("components", {}).get("schemas", {}).items():
        yield from ((f"{name}.{field}", part) for field, part in schema.get("properties", {}).items())


# ── features ──


def in_features(root: Path) -> Iterator[Mention]:
    """The tags of every scenario, those of its feature, its rule and its tables included."""
    for path in sorted((root / "features").glob("*.feature")):
        feature = Parser().parse(path.read_text(encoding="utf-8"))["feature"]
        for scenario, tags in _scenarios(feature, set()):
            place = f"{path.relative_to(root)}: {scenario}"
            yield from (Mention(tag, place, f"{slug(feature['name'])}/{slug(scenario)}") for tag in tags)


def _scenarios(node: Any, inherited: set[str]) -> Iterator[tuple[str, list[str]]]:
    tags = inherited | _tags(node)
    for child in node["children"]:
        if "rule" in child:
            yield from _scenarios(child["rule"], tags)
        if "scenario" in child:
            scenario = child["scenario"]
            own = _tags(scenario).union(*(_tags(table) for table in scenario["examples"]))
            yield scenario["name"], sorted(tags | own)


def _tags(node: Any) -> set[str]:
    return {name for tag in node["tags"] if ID.fullmatch(name := tag["name"].removeprefix("@"))}


# ── tests ──


def in_tests(root: Path) -> Iterator[Mention]:
    """The `req` marks of every test that pytest collects."""
    for package in CHECKED_PACKAGES:
        for path in tree.files(root / package, {".py"}) if (root / package).is_dir() else ():
            if path.name.startswith("test_"):
                yield from _of_test_file(path, str(path.relative_to(root)))


def _of_test_file(path: Path, place: str) -> Iterator[Mention]:
    text = path.read_text(encoding="utf-8")
    if "mark.req" not in text:
        return
    statements = ast.parse(text).body
    shared = [ident for s in statements if _name(s) == "pytestmark" for ident in _marked(s)]
    for statement in statements:
        name = _name(statement)
        if not name.lower().startswith("test"):
            continue
        case = "runtest" if isinstance(statement, ast.Assign) else name.removeprefix("test_")  # a unittest's one case
        check = f"{slug(path.stem.removeprefix('test_'))}/{slug(case)}"
        for identifier in sorted({*shared, *_marked(statement)}):
            yield Mention(identifier, f"{place}::{name}", check)


def _name(statement: ast.stmt) -> str:
    match statement:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return name
        case ast.Assign(targets=[ast.Name(id=name)]):
            return name
    return ""


def _marked(statement: ast.stmt) -> Iterator[str]:
    """The ids of the marks on a statement, not those inside the texts and bodies of what it defines."""
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            marked: list[ast.expr] = statement.decorator_list
        case ast.ClassDef():
            inner = [part for part in statement.body if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)]
            marked = [*statement.decorator_list, *(mark for part in inner for mark in part.decorator_list)]
        case ast.Assign():
            marked = [statement.value]
        case _:
            marked = []
    for node in (node for mark in marked for node in ast.walk(mark)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.req":
            for argument in node.args:
                value = argument.value if isinstance(argument, ast.Constant) else None
                yield value if isinstance(value, str) else UNREADABLE


# ── code ──


def in_code(root: Path) -> Iterator[Mention]:
    """Every mention in code that is no test: docstrings, violations, comments."""
    for package in CHECKED_PACKAGES:
        for path in tree.files(root / package, {".py"}) if (root / package).is_dir() else ():
            if "tests" not in path.parts and path.parent.name != "models":
                for identifier in _ids(path.read_text(encoding="utf-8")):
                    yield Mention(identifier, str(path.relative_to(root)))


def _ids(text: str) -> list[str]:
    """All ids of a text, `OC-CTRL-2020 … 2022, 2030` written out."""
    found: dict[str, None] = {}
    for first, rest in SERIES.findall(text):
        found[first] = None
        last = first
        for separator, name in re.findall(rf"( … |, )({ID.pattern}|\d{{4}})", rest):
            identifier = name if ID.fullmatch(name) else f"{last[:-4]}{name}"
            if separator == " … " and identifier[:-4] == last[:-4]:
                numbers = range(int(last[-4:]) + 1, int(identifier[-4:]))
                found |= dict.fromkeys(f"{last[:-4]}{number:04d}" for number in numbers)
            found[identifier] = None
            last = identifier
    return list(found)

"""The features as files: every promise has a name of its own and ids, and no step lies unused or is ambiguous."""

import ast
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from gherkin.parser import Parser
from pytest_bdd.steps import StepFunctionContext, step_function_context_registry

from features import test_features
from harness import requirements
from harness.judging import judges

FOLDER = Path(test_features.__file__).parent
FILES = sorted(FOLDER.glob("*.feature"))

Sentence = tuple[str, str]
"""`given`, `when` or `then`, and the text."""


def feature(path: Path) -> dict[str, Any]:
    """A parsed file."""
    return dict(Parser().parse(path.read_text(encoding="utf-8"))["feature"])


def tags(node: dict[str, Any]) -> set[str]:
    """The tags of a feature or a scenario."""
    return {tag["name"].removeprefix("@") for tag in node["tags"]}


def scenarios(path: Path) -> list[dict[str, Any]]:
    """Every scenario of a file."""
    return [child["scenario"] for child in feature(path)["children"] if "scenario" in child]


def rows(part: dict[str, Any]) -> list[dict[str, str]]:
    """The rows of an outline's tables; one empty row for what is no outline."""
    found: list[dict[str, str]] = []
    for table in part.get("examples", []):
        names = [cell["value"] for cell in table["tableHeader"]["cells"]]
        found += [dict(zip(names, (c["value"] for c in row["cells"]), strict=True)) for row in table["tableBody"]]
    return found or [{}]


def sentences(path: Path) -> set[Sentence]:
    """Every step of a file, with the rows of its outlines filled in."""
    found: set[Sentence] = set()
    for child in feature(path)["children"]:
        part, kind = child.get("scenario") or child["background"], "given"
        for step in part["steps"]:
            keyword = step["keyword"].strip().lower()
            kind = kind if keyword in ("and", "but") else keyword
            for row in rows(part):
                text = step["text"]
                for name, value in row.items():
                    text = text.replace(f"<{name}>", value)
                found.add((kind, text))
    return found


def steps() -> list[StepFunctionContext]:
    """Every step of ours."""
    for name in test_features.pytest_plugins:
        import_module(name)
    ours = [c for c in step_function_context_registry.values() if c.step_func.__module__.startswith("features.steps")]
    assert len(ours) > 50, "the registry of steps is not where it was"
    return ours


def fits(step: StepFunctionContext, sentence: Sentence) -> bool:
    """This step runs for this sentence."""
    kind, text = sentence
    return step.type in (None, kind) and step.parser.is_matching(text)


ALL_SENTENCES = set().union(*(sentences(path) for path in FILES))


@pytest.mark.req("OC-TEST-7004")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_scenario_proves_a_requirement_that_the_specs_state(path: Path) -> None:
    known, shared = requirements.load().keys(), tags(feature(path))

    assert [] == [scenario["name"] for scenario in scenarios(path) if not (shared | tags(scenario)) & known]


def test_every_title_is_used_once() -> None:
    """pytest-bdd keeps the last of two scenarios with one name, and says nothing."""
    titles = [scenario["name"] for path in FILES for scenario in scenarios(path)]

    assert sorted(set(titles)) == sorted(titles)


def test_every_table_of_examples_is_free_of_tags() -> None:
    """Tags of a table would become marks of their own name, past the mapping of ids."""
    tables = [table for path in FILES for scenario in scenarios(path) for table in scenario["examples"]]

    assert [] == [table["name"] for table in tables if table["tags"]]


def test_every_step_is_used() -> None:
    unused = [step.parser.name for step in steps() if not any(fits(step, sentence) for sentence in ALL_SENTENCES)]

    assert [] == unused


def test_every_sentence_has_one_step() -> None:
    """Which of two matching steps runs depends on the order of modules: nobody could tell."""
    ours = steps()
    fitting = {sentence: {step.step_func for step in ours if fits(step, sentence)} for sentence in ALL_SENTENCES}

    assert {} == {s: [f.__name__ for f in found] for s, found in fitting.items() if len(found) != 1}


@pytest.mark.req("OC-TEST-7020")
def test_every_then_comes_to_a_judgement() -> None:
    """One that does not could only pass; the plugin leaves its scenarios unknown."""
    asserting = [step.step_func for step in steps() if step.type == "then"]

    assert [] == [f"{f.__module__}.{f.__name__}" for f in asserting if not judges(f)]


def test_no_step_sleeps() -> None:
    """Waits have conditions and deadlines: `World.wait`."""
    trees = {path.name: ast.parse(path.read_text(encoding="utf-8")) for path in (FOLDER / "steps").glob("*.py")}
    attributes = [(n, node) for n, tree in trees.items() for node in ast.walk(tree) if isinstance(node, ast.Attribute)]

    assert [] == [f"{name}:{node.lineno}" for name, node in attributes if node.attr == "sleep"]

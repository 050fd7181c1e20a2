"""What stands behind an id: a requirement and its checks, a check and its scenario, an error code."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from gherkin.parser import Parser

from harness import requirements
from harness.error_codes import registry
from harness.registry.check import slug


@dataclass(frozen=True, slots=True)
class Told:
    """A scenario as its file tells it."""

    check: str
    title: str
    tags: tuple[str, ...]
    steps: tuple[str, ...]


def scenarios() -> Iterator[Told]:
    """Every scenario of the features."""
    for entry in sorted(files("features").iterdir(), key=lambda found: found.name):
        if entry.name.endswith(".feature"):
            feature: dict[str, Any] = dict(Parser().parse(entry.read_text(encoding="utf-8"))["feature"])
            children: list[Any] = list(feature["children"])
            parts = [child["scenario"] for child in children if "scenario" in child]
            given = [child["background"]["steps"] for child in children if "background" in child]
            for part in parts:
                steps = [step for group in [*given, part["steps"]] for step in group]
                yield Told(
                    check=f"{slug(feature['name'])}/{slug(part['name'])}",
                    title=f"{feature['name']}: {part['name']}",
                    tags=tuple(tag["name"].lstrip("@") for tag in [*feature["tags"], *part["tags"]]),
                    steps=tuple(f"{step['keyword'].strip()} {step['text']}" for step in steps),
                )


def explained(identifier: str) -> str | None:
    """The text; None for what is no id."""
    known = requirements.load()
    told = list(scenarios())
    if (requirement := known.get(identifier)) is not None:
        looking = [f"  {scenario.check}" for scenario in told if identifier in scenario.tags]
        by = ["scenarios:", *looking] if looking else ["No scenario is tagged with it."]
        return "\n".join(
            [f"{requirement.id} ({requirement.level}), contracts/{requirement.place}", requirement.sentence, *by]
        )
    if (code := registry().get(identifier)) is not None:
        requires = f"Carries {', '.join(code.requires)}. " if code.requires else ""
        return f"{code.name}: status {code.http or 'none, it ends streams'}. {requires}"
    scenario = next((scenario for scenario in told if scenario.check == identifier), None)
    if scenario is None:
        return None
    proves = [f"  {i} ({known[i].level}) {known[i].sentence}" for i in scenario.tags if i in known]
    repeat = f"llama-orch conform --check {identifier}"
    return "\n".join([scenario.title, *(f"  {step}" for step in scenario.steps), "proves:", *proves, f"run: {repeat}"])

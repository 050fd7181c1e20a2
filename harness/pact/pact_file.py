"""A pact as data: its interactions, and the values that a request needs from the engine under test.

Values are asked for the way pact verifiers do it, by generators of the type `ProviderState`: `${model}` in a path or a
body. They are filled in before the verifier sees the request, so that no other service is needed for them.
"""

import copy
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

ENGINES = ("llamacpp", "vllm", "tgi", "triton")

EXPRESSION = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True)
class Interaction:
    """One question to a provider and what its answer has to be.

    Attributes:
        states: what the provider has to be like before, in plain words.
        requirements: the ids that it stands for.
        raw: as the file has it.
    """

    description: str
    states: tuple[str, ...]
    requirements: tuple[str, ...]
    raw: Mapping[str, Any]

    @property
    def path(self) -> str:
        """As in the example."""
        return str(self.raw["request"]["path"])

    @property
    def names(self) -> frozenset[str]:
        """The values that the request needs."""
        return frozenset(EXPRESSION.findall(json.dumps(self.raw["request"].get("generators", {}))))


@dataclass(frozen=True)
class PactFile:
    """A pact."""

    name: str
    provider: str
    interactions: tuple[Interaction, ...]
    raw: Mapping[str, Any]

    def selected(self, text: str | None) -> tuple[Interaction, ...]:
        """The interaction of this description; where there is none, those that have the text in it; None = all."""
        exact = tuple(entry for entry in self.interactions if entry.description == text)
        return exact or tuple(entry for entry in self.interactions if text is None or text in entry.description)

    def alone(self, interaction: Interaction, values: Mapping[str, str]) -> dict[str, Any]:
        """A pact of one interaction, whose request has these values."""
        raw = copy.deepcopy(dict(interaction.raw))
        raw.pop("providerStates", None)  # brought about by us
        request = raw["request"]
        for part, generators in request.pop("generators", {}).items():
            if part == "path":
                request["path"] = _filled(generators["expression"], values)
            for name, generator in generators.items() if part == "header" else ():
                request["headers"][name] = [_filled(generator["expression"], values)]
            for place, generator in generators.items() if part == "body" else ():
                request["body"]["content"][place.removeprefix("$.")] = _filled(generator["expression"], values)
        return {**self.raw, "interactions": [raw]}


def load(engine: str) -> PactFile:
    """The pact of the orchestrator with an engine, one of `ENGINES`."""
    return load_file(f"orchestrator-{engine}.json")


def load_file(file: str) -> PactFile:
    """A pact of `contracts/pacts`."""
    return parse(f"contracts/pacts/{file}", json.loads(files("contracts").joinpath("pacts", file).read_bytes()))


def parse(name: str, raw: Mapping[str, Any]) -> PactFile:
    """A pact of version 4."""
    interactions = tuple(
        Interaction(
            description=entry["description"],
            states=tuple(state["name"] for state in entry.get("providerStates", ())),
            requirements=tuple(_requirements(entry).split()),
            raw=entry,
        )
        for entry in raw["interactions"]
    )
    return PactFile(name, raw["provider"]["name"], interactions, raw)


def _requirements(entry: Mapping[str, Any]) -> str:
    references = entry.get("comments", {}).get("references", {})
    return str(references.get("OrchQueue", {}).get("requirements", ""))


def _filled(expression: str, values: Mapping[str, str]) -> str:
    return EXPRESSION.sub(lambda match: values[match[1]], expression)

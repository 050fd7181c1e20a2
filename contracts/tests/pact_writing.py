"""Writes pact files that are the same to the byte in every run.

Source: OC-TEST-7030.
"""

import json
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

os.environ.setdefault("PACT_DO_NOT_TRACK", "true")  # before the library is loaded

from pact import Pact, match
from pact.interaction import HttpInteraction
from pact.match.matcher import AndMatcher

Describe = Callable[[Pact], object]
"""Adds one interaction."""


def empty(consumer: str, provider: str) -> Pact:
    """A pact without interactions."""
    return Pact(consumer, provider).with_specification("V4")


def text(consumer: str, provider: str, interactions: Iterable[Describe]) -> str:
    """A pact file; one that is described twice is written once."""
    pact, described = empty(consumer, provider), dict.fromkeys(interactions)
    for describe in described:
        describe(pact)
    with tempfile.TemporaryDirectory() as folder:
        pact.write_file(folder, overwrite=True)
        (file,) = Path(folder).iterdir()
        written = json.loads(file.read_bytes())
    if len(written["interactions"]) != len(described):  # the library replaces one of equal description
        raise ValueError(f"{provider}: {len(described)} interactions, {len(written['interactions'])} written")
    return normalised(written)


def normalised(pact: dict[str, Any]) -> str:
    """The same pact whatever version of the library wrote it: no versions, one order."""
    pact["metadata"] = {"pactSpecification": pact["metadata"]["pactSpecification"]}
    pact["interactions"].sort(key=lambda one: str(one["description"]))
    return json.dumps(pact, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def asked(pact: Pact, description: str, given: str, *requirements: str) -> HttpInteraction:
    """The beginning of an interaction.

    Args:
        description: no two interactions of a pact have the same.
        given: the provider state, in plain words.
    """
    interaction = pact.upon_receiving(description).given(given)
    return interaction.add_external_reference("OrchQueue", "requirements", " ".join(requirements))


class SomeText(AndMatcher[str]):
    """A text that is not empty: a regular expression alone would take a number too.

    The library (4.2) leaves the example out of matchers that are combined, so it is put in here.
    """

    def __init__(self, example: str, regex: str = r".+") -> None:
        super().__init__(match.regex(example, regex=regex), match.str(example))
        self._example = example

    def to_integration_json(self) -> dict[str, Any]:
        """With its example."""
        return {**super().to_integration_json(), "value": self._example}

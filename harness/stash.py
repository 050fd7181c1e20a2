"""What the plugin, the fixtures and the steps keep on a test while it runs."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from harness.history import History

HISTORY: "pytest.StashKey[History]" = pytest.StashKey()
"""What it has sent and got. Steps ask for the fixture late, when it is no argument of the test any more."""

EMPTY_STEPS: "pytest.StashKey[list[str]]" = pytest.StashKey()
"""The `then` steps that have come to their end without a judgement."""

ASSERTED = pytest.StashKey[int]()
"""How many `then` steps have come to a judgement, and to their end."""

LOST_PREMISES: "pytest.StashKey[list[str]]" = pytest.StashKey()
"""What did not hold any more when a step failed that builds on it."""

FAILED_STEP = pytest.StashKey[str]()
"""The kind (`given`, `when`, `then`) of the step that raised."""

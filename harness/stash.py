"""What the plugin, the fixtures and the steps keep on a test while it runs."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from harness.history import History

HISTORY: "pytest.StashKey[History]" = pytest.StashKey()
"""What it has sent and got. Steps ask for the fixture late, when it is no argument of the test any more."""

FAILED_STEP = pytest.StashKey[str]()
"""The kind (`given`, `when`, `then`) of the step that raised."""

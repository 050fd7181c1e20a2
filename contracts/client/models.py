"""The bodies of both planes in one namespace, as they are generated in `contracts.models`.

Building one with a wrong, a misspelt or a missing field is an error for a type checker.
"""

from contracts.models.control import *  # noqa: F403 - `__all__` of each is generated
from contracts.models.data import *  # noqa: F403

"""What no defect on the wire can break: requirements and checks, each with its reason, from `off_wire.yaml`."""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files

import yaml


@dataclass(frozen=True, slots=True)
class OffWire:
    """The list.

    Attributes:
        requirements: MUST sentences that do not show on the wire, by id or by a glob of ids.
        checks: MUST checks that look at something else than the wire, by id.
    """

    requirements: Mapping[str, str]
    checks: Mapping[str, str]

    def why(self, requirement: str) -> str | None:
        """Why no defect breaks this sentence; None when one should."""
        return next((why for glob, why in self.requirements.items() if fnmatchcase(requirement, glob)), None)


@cache
def load() -> OffWire:
    """Read it."""
    found = yaml.safe_load(files("harness.saboteur").joinpath("off_wire.yaml").read_text("utf-8"))
    return OffWire(*(_by_id(found[kind] or {}) for kind in ("requirements", "checks")))


def _by_id(found: Mapping[str, list[str]]) -> dict[str, str]:
    return {identifier: reason for reason, ids in found.items() for identifier in ids}

"""The registry of error codes, as `contracts/errors.yaml` has it.

Source: OC-CTRL-2030, ORCH-2006.
"""

import functools
from dataclasses import dataclass
from importlib.resources import files

import yaml


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """One code.

    Attributes:
        http: the status of a refusal; None where the code only ends a stream.
        requires: headers (`Retry-After`) and fields (`retry_after_ms`) that an answer with this code must carry.
    """

    name: str
    http: int | None
    retriable: bool
    requires: tuple[str, ...]

    @property
    def required_headers(self) -> tuple[str, ...]:
        """Of `requires`, the headers: their names begin with a capital letter."""
        return tuple(name for name in self.requires if name[0].isupper())

    @property
    def required_fields(self) -> tuple[str, ...]:
        """Of `requires`, the fields of the envelope."""
        return tuple(name for name in self.requires if not name[0].isupper())


@functools.cache
def registry() -> dict[str, ErrorCode]:
    """All codes, by name."""
    listed = yaml.safe_load(files("contracts").joinpath("errors.yaml").read_text(encoding="utf-8"))
    return {
        name: ErrorCode(name, entry["http"], bool(entry["retriable"]), tuple(entry["requires"]))
        for name, entry in listed.items()
    }

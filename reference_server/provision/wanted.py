"""A model that somebody wants, and what it may cost.

Source: ORCH-3042, OC-CONFIG-6026.
"""

import threading
from dataclasses import dataclass
from pathlib import Path

from reference_server.provision import cache
from reference_server.provision.reference import Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A model that somebody wants.

    Attributes:
        digest: `sha256:…` that it has to have; None = as its source vouches.
        quota_bytes: of all models together; None = as much as the disk holds.
        stop: set by whoever does not want it any more.
    """

    reference: Reference
    digest: str | None = None
    allow_pickle: bool = False
    quota_bytes: int | None = None
    stop: threading.Event | None = None

    @property
    def part(self) -> Path:
        """Where a file grows while it comes."""
        return cache.partial_models() / f"{self.reference.key}.part"

    @property
    def parts(self) -> Path:
        """Where a repository grows while it comes, by its commit."""
        return cache.partial_models() / f"{self.reference.key}.parts"

"""What a source offers of one file."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from reference_server.policy.gateway import Pass
from reference_server.provision.reference import Reference

CHUNK_BYTES = 64 * 1024  # what a break-off may lose


@dataclass(frozen=True, slots=True)
class Offer:
    """One file at its source.

    Attributes:
        name: without a folder.
        size_bytes: None where the source does not tell.
        digest: `sha256:…` as the source vouches for it; None where it does not.
        read: the bytes from an offset on; a source that cannot begin there gives None, and is asked for all of it.
    """

    name: str
    size_bytes: int | None
    digest: str | None
    read: Callable[[int], Iterator[bytes] | None]


Source = Callable[[Reference, Pass], AbstractContextManager[Offer]]
"""Asks a source through the gateway. Raises `ProvisionError`, and so does `read`."""

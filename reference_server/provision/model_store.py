"""Brings models into the cache by their references: whole, verified, sane, within the quota, and each only once.

    lock → here already? → ask the source → room → download (resumed) → digest → header → in place

What fails leaves the models of the cache as they were. A download that broke off is gone on with by the next try; one
that is not what was expected, or no sane model, is moved into `quarantine/`, where nothing loads it from.

Source: ORCH-3042, ORCH-3043, ORCH-3090, ORCH-3093, ORCH-3204, OC-CONFIG-6026.
"""

import shutil
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Final

from reference_server.provision import cache, download, names, network, partial, quarantine, room, snapshot
from reference_server.provision.console import say
from reference_server.provision.errors import DigestError, FormatError, ProvisionError
from reference_server.provision.reference import Reference, Scheme, is_pickle
from reference_server.provision.sources import endpoints
from reference_server.provision.sources.offer import Offer, Snapshot, Source
from reference_server.provision.wanted import Wanted

MODULES: Final[Mapping[Scheme, str]] = {
    "hf": "hub",
    "https": "web",
    "http": "web",
    "s3": "bucket",
    "oci": "registry",
    "pypi": "package",
}


def folder_of(reference: Reference) -> Path:
    """Where a model is, once it is here."""
    return cache.root() / "models" / reference.key


def find(reference: Reference, *, digest: str | None = None) -> dict[str, str] | None:
    """The manifest of a model that is here, with its file or folder, and has this digest where one is given."""
    manifest = cache.manifest_of(folder_of(reference))
    if manifest is None or not Path(manifest["path"]).exists():
        return None
    return manifest if digest in {None, manifest["digest"]} else None


def fetch(wanted: Wanted) -> dict[str, str]:
    """Bring a model unless it is here. Blocks.

    Returns:
        Its manifest: `id`, `reference`, `path` (absolute; a folder for a whole repository), `digest`, `format`.

    Raises:
        ProvisionError: it could not be brought; the text says why, and what to do.
    """
    reference = wanted.reference
    if reference.scheme == "file":
        raise ProvisionError(f"{reference.text}: a file is used where it lies; there is nothing to fetch")
    with cache.locked(f"model-{reference.key}", waiting=say):
        if (here := find(reference, digest=wanted.digest)) is not None:
            return here
        with (
            network.going_out("model", mirrors=endpoints.mirrors(reference.scheme)) as held,
            _source(reference.scheme)(reference, held) as offer,
        ):
            made = _snapshot(wanted, offer) if isinstance(offer, Snapshot) else _file(wanted, offer)
            say(f"{reference.text} is here: {made['path']}")
            return made


def _source(scheme: Scheme) -> Source:
    """By scheme; the libraries take a second to import, and most runs need none of them."""
    source: Source = import_module(f"reference_server.provision.sources.{MODULES[scheme]}").offer
    return source


def _file(wanted: Wanted, offer: Offer) -> dict[str, str]:
    digest = _expected(wanted, offer)
    name = names.require_plain(offer.name)
    if is_pickle(name) and not wanted.allow_pickle:
        raise FormatError(f"{name} is a pickle, which runs code when it is loaded; `models.allow_pickle` allows it")
    folder, part = folder_of(wanted.reference), wanted.part
    part.parent.mkdir(parents=True, exist_ok=True)
    room.require_quota(offer.size_bytes or 0, wanted.quota_bytes, sparing=folder)
    room.make_on_disk(partial.missing_bytes(part, offer), sparing=folder)
    partial.bring(offer, part, stop=wanted.stop)
    quarantine.require_digest(part, digest, download.sha256_of(part), wanted.reference)
    kind = quarantine.require_sane(part, name, wanted.reference, allow_pickle=wanted.allow_pickle)
    return _placed(wanted, part, name, digest=digest, kind=kind, size_bytes=part.stat().st_size)


def _snapshot(wanted: Wanted, offered: Snapshot) -> dict[str, str]:
    made = snapshot.bring(wanted, offered, sparing=folder_of(wanted.reference))
    name = names.require_plain(wanted.reference.parts["repo"].rpartition("/")[2])
    manifest = _placed(wanted, made.folder, name, digest=made.digest, kind=made.kind, size_bytes=made.size_bytes)
    wanted.parts.rmdir()
    return manifest


def _placed(wanted: Wanted, part: Path, name: str, *, digest: str, kind: str, size_bytes: int) -> dict[str, str]:
    """Move what has come, and is right, to where models are; its manifest."""
    folder = folder_of(wanted.reference)
    for evicted in room.make(size_bytes, wanted.quota_bytes, sparing=folder):
        say(f"evicted {evicted.name}: it was used longest ago, and room was needed")
    manifest = {
        "id": wanted.reference.key,
        "reference": wanted.reference.text,
        "path": str(folder / name),
        "digest": digest,
        "format": kind,
    }
    with cache.staged(folder, lambda _: manifest) as staging:
        shutil.move(part, staging / name)
    return manifest


def _expected(wanted: Wanted, offer: Offer) -> str:
    if wanted.digest and offer.digest and wanted.digest != offer.digest:
        raise DigestError(f"{wanted.reference.text}: expected {wanted.digest}, and its source has {offer.digest}")
    digest = wanted.digest or offer.digest
    if digest is None:
        raise DigestError(f"{wanted.reference.text}: its source vouches for no sha256, so a digest has to be given")
    return digest

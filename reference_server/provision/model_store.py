"""Brings models into the cache by their references: whole, verified, sane, within the quota, and each only once.

    lock → here already? → ask the source → room → download (resumed) → digest → header → in place

What fails leaves the models of the cache as they were. A download that broke off is gone on with by the next try; one
that is not what was expected, or no sane model, is moved into `quarantine/`, where nothing loads it from.

Source: ORCH-3042, ORCH-3090, ORCH-3093, ORCH-3204, OC-CONFIG-6026.
"""

import contextlib
import errno
import json
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from reference_server.provision import cache, console, download, model_header, network, room
from reference_server.provision.console import say
from reference_server.provision.errors import DigestError, FormatError, ProvisionError, StoppedError
from reference_server.provision.reference import Reference, Scheme, is_pickle
from reference_server.provision.sources import endpoints
from reference_server.provision.sources.offer import Offer, Source

QUARANTINED_MAX = 4
NAME_MAX = 200


MODULES: Final[Mapping[Scheme, str]] = {
    "hf": "hub",
    "https": "web",
    "http": "web",
    "s3": "bucket",
    "oci": "registry",
    "pypi": "package",
}


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


def folder_of(reference: Reference) -> Path:
    """Where a model is, once it is here."""
    return cache.root() / "models" / reference.key


def find(reference: Reference, *, digest: str | None = None) -> dict[str, str] | None:
    """The manifest of a model that is here, has its file, and has this digest where one is given."""
    manifest = cache.manifest_of(folder_of(reference))
    if manifest is None or not Path(manifest["path"]).is_file():
        return None
    return manifest if digest in {None, manifest["digest"]} else None


def fetch(wanted: Wanted) -> dict[str, str]:
    """Bring a model unless it is here. Blocks.

    Returns:
        Its manifest: `id`, `reference`, `path` (absolute), `digest`, `format`.

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
            return _take(wanted, offer)


def _source(scheme: Scheme) -> Source:
    """By scheme; the libraries take a second to import, and most runs need none of them."""
    source: Source = import_module(f"reference_server.provision.sources.{MODULES[scheme]}").offer
    return source


def _take(wanted: Wanted, offer: Offer) -> dict[str, str]:
    digest = _expected(wanted, offer)
    name = _safe(offer.name)
    if is_pickle(name) and not wanted.allow_pickle:
        raise FormatError(f"{name} is a pickle, which runs code when it is loaded; `models.allow_pickle` allows it")
    folder, part = folder_of(wanted.reference), cache.root() / "downloads" / f"{wanted.reference.key}.part"
    part.parent.mkdir(parents=True, exist_ok=True)
    room.require_quota(offer.size_bytes or 0, wanted.quota_bytes, sparing=folder)
    room.make_on_disk(_missing(part, offer), sparing=folder)
    _download(wanted, offer, part, name)
    kind = _verified(part, name, digest, wanted)
    for evicted in room.make(part.stat().st_size, wanted.quota_bytes, sparing=folder):
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
    say(f"{wanted.reference.text} is here: {manifest['path']}")
    return manifest


def _expected(wanted: Wanted, offer: Offer) -> str:
    if wanted.digest and offer.digest and wanted.digest != offer.digest:
        raise DigestError(f"{wanted.reference.text}: expected {wanted.digest}, and its source has {offer.digest}")
    digest = wanted.digest or offer.digest
    if digest is None:
        raise DigestError(f"{wanted.reference.text}: its source vouches for no sha256, so a digest has to be given")
    return digest


def _safe(name: str) -> str:
    if not name or len(name) > NAME_MAX or name in {".", "..", "manifest.json", room.USED} or not name.isprintable():
        raise ProvisionError(f"{name[:80]!r} is no name for a file")
    if "/" in name or "\\" in name:
        raise ProvisionError(f"{name[:80]!r} would leave its folder")
    return name


def _missing(part: Path, offer: Offer) -> int:
    have = part.stat().st_size if part.exists() else 0
    return max(0, (offer.size_bytes or 0) - have)


def _download(wanted: Wanted, offer: Offer, part: Path, name: str) -> None:
    start = part.stat().st_size if part.exists() else 0
    chunks = offer.read(start)
    if chunks is None:
        start, chunks = 0, offer.read(0) or iter(())
    try:
        with part.open("ab" if start else "wb") as file, _bar(name, offer.size_bytes, start) as advance:
            for chunk in chunks:
                if wanted.stop is not None and wanted.stop.is_set():
                    raise StoppedError(f"{wanted.reference.text}: stopped; the next fetch goes on from here")
                file.write(chunk)
                advance(len(chunk))
                _require_sane_length(file.tell(), offer, part)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            part.unlink(missing_ok=True)
            raise ProvisionError(f"the disk is full: {name} was not kept; free some of it and fetch again") from error
        raise ProvisionError(f"{name} cannot be written: {error.strerror}") from error
    have = part.stat().st_size
    if offer.size_bytes is not None and have < offer.size_bytes:
        raise ProvisionError(f"the download broke off at {have} of {offer.size_bytes} bytes; fetch again to go on")


def _require_sane_length(have: int, offer: Offer, part: Path) -> None:
    if offer.size_bytes is not None and have > offer.size_bytes:
        part.unlink(missing_ok=True)
        raise ProvisionError(f"its source sends more than the {offer.size_bytes} bytes that it has announced")


@contextlib.contextmanager
def _bar(name: str, total: int | None, start: int) -> Iterator[Callable[[int], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console.CONSOLE) as progress:
        bar = progress.add_task(name, total=total, completed=start)
        yield lambda count: progress.advance(bar, count)


def _verified(part: Path, name: str, digest: str, wanted: Wanted) -> str:
    """The format of what has come. Raises `DigestError` or `FormatError`: it is in quarantine."""
    if (found := download.sha256_of(part)) != digest:
        where = _quarantine(part, name, f"expected {digest}, got {found}", wanted.reference)
        raise DigestError(f"{wanted.reference.text}: expected {digest}, got {found}; it is in quarantine: {where}")
    try:
        return model_header.check(part, name=name, allow_pickle=wanted.allow_pickle)
    except FormatError as error:
        where = _quarantine(part, name, str(error), wanted.reference)
        raise FormatError(f"{error}; it is in quarantine: {where}") from None


def _quarantine(part: Path, name: str, why: str, reference: Reference) -> Path:
    """Move a file out of the way; the oldest of more than a few are deleted."""
    folder = cache.root() / "quarantine" / reference.key
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.move(part, folder / (name + ".quarantined"))
    (folder / "why.json").write_text(json.dumps({"reference": reference.text, "why": why}) + "\n")
    oldest_first = sorted(folder.parent.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    for old in oldest_first[:-QUARANTINED_MAX]:
        shutil.rmtree(old, ignore_errors=True)
    return folder

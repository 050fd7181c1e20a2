"""Room for a model: the quota, the disk, and who has to go. A model in use never goes.

On a disk that is short, what is in quarantine goes first, and then downloads that broke off and nobody goes on with.

Whoever has a model loaded holds a shared lock on its folder, which the kernel lets go of when the process ends; the
one that was used longest ago goes first, and nobody goes unless that makes room enough.

Source: ORCH-3042.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from reference_server.provision import cache
from reference_server.provision.errors import NoRoomError

USED = "used"  # its time is when the model was last used
DISK_SPARE_BYTES = 256 * 1024**2  # left for logs and the journal


@dataclass(frozen=True, slots=True)
class Kept:
    """One model of the cache, or what is left of one."""

    folder: Path
    size_bytes: int
    used_ns: int


def hold(folder: Path) -> IO[str]:
    """Keep a model in the cache until what this returns is closed. Also notes that it is used now."""
    handle = (folder / USED).open("a")
    fcntl.flock(handle, fcntl.LOCK_SH)
    os.utime(handle.fileno())
    return handle


def kept() -> list[Kept]:
    """The models of the cache, the one that was used longest ago first."""
    found = []
    for manifest in (cache.root() / "models").glob("*/manifest.json"):
        folder = manifest.parent
        marker = folder / USED
        used = (marker if marker.exists() else manifest).stat().st_mtime_ns
        found.append(Kept(folder, cache.size_of(folder), used))
    return sorted(found, key=lambda model: model.used_ns)


def require_quota(needed_bytes: int, quota_bytes: int | None, *, sparing: Path) -> None:
    """Check that `make` would find room. Raises `NoRoomError`."""
    with _going(_over_quota(needed_bytes, quota_bytes, sparing), sparing):
        return


def make(needed_bytes: int, quota_bytes: int | None, *, sparing: Path) -> list[Path]:
    """Evict until a model of this size keeps the quota.

    Args:
        sparing: the folder that the model is for; never evicted.

    Returns:
        The folders that were evicted, in order.

    Raises:
        NoRoomError: there is not enough even without all that nobody uses; nothing was evicted.
    """
    return _evict(_over_quota(needed_bytes, quota_bytes, sparing), sparing)


def make_on_disk(needed_bytes: int, *, sparing: Path) -> list[Path]:
    """Evict until so many bytes fit on the disk. See `make`."""
    cache.root().mkdir(parents=True, exist_ok=True)
    over = needed_bytes + DISK_SPARE_BYTES - shutil.disk_usage(cache.root()).free
    if over <= 0:
        return []
    with _leftovers(sparing) as leftovers:
        return _evict(over, sparing, leftovers)


def _evict(over: int, sparing: Path, leftovers: Sequence[Kept] = ()) -> list[Path]:
    with _going(over, sparing, leftovers) as going:
        for path in going:
            if path.is_file():
                path.unlink(missing_ok=True)
            else:
                shutil.rmtree(path, ignore_errors=True)
        return going


@contextmanager
def _leftovers(sparing: Path) -> Iterator[list[Kept]]:
    """What is in quarantine, and what came in part; nobody can go on with it within the block."""
    quarantined, parts = cache.root() / "quarantine", cache.partial_models()
    with ExitStack() as held:
        found = [path for path in parts.glob("*") if path.stem != sparing.name]
        idle = [path for path in found if held.enter_context(cache.locked_if_free(f"model-{path.stem}"))]
        yield [Kept(path, cache.size_of(path), 0) for path in (*quarantined.glob("*"), *idle)]


@contextmanager
def _going(over: int, sparing: Path, leftovers: Sequence[Kept] = ()) -> Iterator[list[Path]]:
    """Who has to go to free so many bytes; nobody can take hold of them within the block."""
    with _evictable([model for model in kept() if model.folder != sparing] if over > 0 else []) as candidates:
        going, freed = [], 0
        for model in (*leftovers, *candidates):
            if freed >= over:
                break
            going.append(model.folder)
            freed += model.size_bytes
        if freed < over:
            raise NoRoomError(
                f"no room: {over} bytes too many, and what nobody uses has only {freed}; raise "
                "`models.cache_bytes_max`, free the disk, or delete models"
            )
        yield going


@contextmanager
def _evictable(models: list[Kept]) -> Iterator[list[Kept]]:
    """Those that nobody holds; nobody can take hold of them within the block."""
    handles, free = [], []
    try:
        for model in models:
            is_new = not (model.folder / USED).exists()
            handle = (model.folder / USED).open("a")
            handles.append(handle)
            if is_new:  # to be looked at is not to be used
                os.utime(handle.fileno(), ns=(model.used_ns, model.used_ns))
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            free.append(model)
        yield free
    finally:
        for handle in handles:
            handle.close()


def _over_quota(needed: int, quota: int | None, sparing: Path) -> int:
    if quota is None:
        return 0
    return sum(model.size_bytes for model in kept() if model.folder != sparing) + needed - quota

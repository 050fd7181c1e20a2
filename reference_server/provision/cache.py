"""Where engines and models are kept, and how two installs stay out of each other's way.

    <cache>/downloads/<file>                      verified archives (`.part` while they come)
    <cache>/downloads/models/<id>.part            a model on its way; `.parts`: a folder for all of a repository;
                                                  `.archive`: a folder for the package that holds it
    <cache>/engines/<engine>/<key>/manifest.json  written last: a folder without one is no install
    <cache>/models/<id>/manifest.json             likewise; a file, or a folder for all of a repository
    <cache>/plans/<digest>.json                   what each install was to do

Source: ORCH-3042, ORCH-3203.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

CACHE_ENV = "LLAMA_ORCH_CACHE_DIR"
WHERE = {"engines": "*/*/manifest.json", "models": "*/manifest.json"}


def root() -> Path:
    """The cache folder: `LLAMA_ORCH_CACHE_DIR`, else `llama-orch` in the user's cache folder (XDG)."""
    if named := os.environ.get(CACHE_ENV):
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "llama-orch"


def partial_models() -> Path:
    """Where models grow while they come, each under its key and a suffix."""
    return root() / "downloads" / "models"


@contextmanager
def locked(name: str, *, waiting: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock `name` for the length of the block; a second process waits for the first, and says so.

    Its file goes with it: who has waited sees that what it locked is not there any more, and begins anew.
    """
    path = root() / "locks" / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with path.open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waiting(f"another install of {name} is under way; waiting for it")
                fcntl.flock(handle, fcntl.LOCK_EX)
            if not _is_at(handle.fileno(), path):
                continue
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


@contextmanager
def locked_if_free(name: str) -> Iterator[bool]:
    """Hold the lock `name` for the length of the block, unless somebody else does; tells which."""
    path = root() / "locks" / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        if not _is_at(handle.fileno(), path):
            yield False
            return
        try:
            yield True
        finally:
            path.unlink(missing_ok=True)


def _is_at(file: int, path: Path) -> bool:
    """Whether the open file is still the one of this name."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def size_of(path: Path) -> int:
    """What a file, or all files of a folder, take of the disk; bytes. What links lead to is not theirs."""
    files = [path] if path.is_file() else path.rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file() and not file.is_symlink())


def manifest_of(folder: Path) -> dict[str, str] | None:
    """The manifest of a complete install, or None."""
    try:
        manifest: dict[str, str] = json.loads((folder / "manifest.json").read_text())
    except (OSError, ValueError):
        return None
    return manifest


def installed(kind: str) -> list[dict[str, str]]:
    """The manifests of all complete installs of a kind, `engines` or `models`, whatever is in them."""
    found = sorted((root() / kind).glob(WHERE[kind]))
    return [manifest for path in found if (manifest := manifest_of(path.parent)) is not None]


@contextmanager
def staged(folder: Path, manifest: Callable[[Path], dict[str, str]]) -> Iterator[Path]:
    """A fresh folder to build in, which becomes `folder` when the block ends well, and disappears when it does not.

    Args:
        manifest: gives the manifest for the final folder; called once everything is in place.
    """
    staging = folder.with_name(folder.name + ".staging")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        yield staging
        (staging / "manifest.json").write_text(json.dumps(manifest(folder), indent=2, sort_keys=True) + "\n")
        shutil.rmtree(folder, ignore_errors=True)
        staging.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)

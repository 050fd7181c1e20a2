"""Model files on this host: which of them may be read, what digests they have, and what is cached of a model.

A `file:` reference counts only inside the model folders, whatever `..` or symbolic link is in it.

Source: ORCH-3062, ORCH-3064, ORCH-3090, OC-CONFIG-6007.
"""

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

from reference_server.engines.http import digest_of
from reference_server.provision import cache, model_store, snapshot
from reference_server.provision.errors import BadReferenceError
from reference_server.provision.reference import Reference, parse, scheme_of


class ModelFiles:
    """The model folders: those of the configuration, and the cache's."""

    def __init__(self, folders: Sequence[str]) -> None:
        self._folders = [Path(folder).resolve() for folder in folders]
        self._hashing: dict[Path, asyncio.Future[str | None]] = {}

    def find(self, model_id: str, source_url: str | None) -> Path | None:
        """The file of a model: what its `file:` source names, else what is cached under its id; a folder where all of a
        repository was fetched."""
        if source_url is not None and source_url.startswith("file:"):
            return self._named(unquote(source_url.removeprefix("file:").removeprefix("//")))
        if (fetched := _fetched(source_url)) is not None and (here := model_store.find(fetched)) is not None:
            return Path(here["path"]) if Path(here["path"]).is_dir() else self._named(here["path"])
        manifest = cache.manifest_of(_cached(model_id)) or {}
        return self._named(manifest["path"]) if "path" in manifest else None

    def _named(self, name: str) -> Path | None:
        folders = [*self._folders, (cache.root() / "models").resolve()]
        for folder in folders:
            try:
                path = (folder / name).resolve()
                if path.is_relative_to(folder) and path.is_file():
                    return path
            except (OSError, ValueError, RuntimeError):  # a NUL in it, too long, a ring of links
                continue
        return None

    async def digest(self, path: Path, *, patience_s: float) -> str | None:
        """The digest of a file or a folder; large files take longer than a client waits.

        Raises:
            TimeoutError: it is still being read; ask again.
        """
        if (running := self._hashing.get(path)) is None:
            running = asyncio.ensure_future(asyncio.to_thread(weights_digest, str(path)))
            self._hashing[path] = running
            running.add_done_callback(lambda _: self._hashing.pop(path, None))
        async with asyncio.timeout(patience_s):
            return await asyncio.shield(running)


def weights_digest(path: str) -> str | None:
    """Of a file, or of all files of a folder; None where neither can be read here. Blocks: call it in a thread."""
    return snapshot.digest_of(Path(path)) if Path(path).is_dir() else digest_of(path)


def is_cached(model_id: str, source_url: str | None = None) -> bool:
    """Whether files of a model are in the cache, under its id or as they were fetched."""
    return any(folder.is_dir() for folder in _folders(model_id, source_url))


def remove_cached(model_id: str, source_url: str | None = None) -> None:
    """Delete what the cache has of a model. Blocks."""
    with cache.locked("models", waiting=lambda _: None):
        for folder in _folders(model_id, source_url):
            shutil.rmtree(folder, ignore_errors=True)


def _folders(model_id: str, source_url: str | None) -> list[Path]:
    fetched = _fetched(source_url)
    return [_cached(model_id), *([model_store.folder_of(fetched)] if fetched is not None else [])]


def _fetched(source_url: str | None) -> Reference | None:
    """The reference of a source that is fetched; an entry may name anything else too."""
    if source_url is None or scheme_of(source_url) in {None, "file"}:
        return None
    try:
        return parse(source_url)
    except BadReferenceError:
        return None


def _cached(model_id: str) -> Path:
    """Ids of the contract hold no separator and begin with a letter or a digit: this stays in the cache."""
    return cache.root() / "models" / model_id

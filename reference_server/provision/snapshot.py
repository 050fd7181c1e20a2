"""A model that is a repository of safetensors, as vLLM and TGI load it: a folder that comes as a whole or not at all.

    settings (configuration, tokenizer, index) → weights that the index names → room → weights → digest of the whole

Each file is verified by the digest that its source vouches for as soon as it is here. One that is not what was expected
goes into quarantine by itself, and the next fetch goes on with the others. Weights are safetensors where there are any;
pickles beside them, and programs, stay where they are.

Source: ORCH-3042, ORCH-3043, ORCH-3093, ORCH-3094.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from reference_server.provision import download, names, partial, quarantine, room
from reference_server.provision.errors import DigestError, FormatError, NoRoomError, ProvisionError
from reference_server.provision.reference import Reference, is_pickle
from reference_server.provision.sources.offer import Offer, Snapshot
from reference_server.provision.wanted import Wanted

CONFIG, INDEX = "config.json", "model.safetensors.index.json"
SETTINGS = (".json", ".jinja", ".model", ".tiktoken", ".txt")
SETTINGS_BYTES_MAX = 512 * 1024**2  # large vocabularies have 35 MB


@dataclass(frozen=True, slots=True)
class Brought:
    """A repository that is here and right.

    Attributes:
        digest: of the whole, see `digest_of`.
        kind: the format of its weights.
    """

    folder: Path
    digest: str
    kind: str
    size_bytes: int


def bring(wanted: Wanted, offered: Snapshot, *, sparing: Path) -> Brought:
    """Bring the files of a repository that an engine needs. Blocks.

    Args:
        sparing: the folder that it is for.

    Raises:
        ProvisionError: it could not be brought; what had come, and is right, is gone on with by the next try.
    """
    part = wanted.parts / offered.commit
    _forget_other_commits(part)
    settings = _settings(offered, wanted.reference)
    _bring(wanted, settings, part, sparing)
    weights = _weights(wanted, offered.files, part)
    sizes = sum(file.size_bytes or 0 for file in (*settings, *weights))
    with _nothing_kept_without_room(wanted):
        room.require_quota(sizes, wanted.quota_bytes, sparing=sparing)
    _bring(wanted, weights, part, sparing)
    _remove_what_is_not_of_it(part, {file.name for file in (*settings, *weights)})
    digest = digest_of(part)
    if wanted.digest is not None:
        quarantine.require_digest(part, wanted.digest, digest, wanted.reference)
    kind = "pickle" if is_pickle(weights[0].name) else "safetensors"
    return Brought(part, digest, kind, sizes)


def digest_of(folder: Path) -> str:
    """Of all files of a folder: the digest of what `sha256sum` prints of them in the order of their paths. Blocks."""
    paths = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    lines = (f"{download.sha256_of(folder / path).removeprefix('sha256:')}  {path}\n" for path in paths)
    return "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()


def _settings(offered: Snapshot, reference: Reference) -> list[Offer]:
    found = [file for file in offered.files if file.name.lower().endswith(SETTINGS)]
    if CONFIG not in {file.name for file in found}:
        raise ProvisionError(
            f"{reference.text} has no {CONFIG}, so no engine can load all of it; name one of its files"
        )
    if (size := sum(file.size_bytes or 0 for file in found)) > SETTINGS_BYTES_MAX:
        raise FormatError(f"{reference.text} has {size} bytes of settings, and {SETTINGS_BYTES_MAX} are sane")
    return found


def _weights(wanted: Wanted, files: Sequence[Offer], part: Path) -> list[Offer]:
    """Those that the index names; without one all that lie at the top."""
    text, at_top = wanted.reference.text, [file for file in files if "/" not in file.name]
    tensors = {file.name: file for file in at_top if file.name.lower().endswith(".safetensors")}
    if (part / INDEX).exists():
        named = _named_by(part / INDEX, wanted.reference)
        if lost := sorted(named - set(tensors)):
            raise FormatError(f"{text}: its index names {lost[0]!r}, which is not there; {len(lost)} are not")
        return [tensors[name] for name in sorted(named)]
    if tensors:
        return list(tensors.values())
    pickles = [file for file in at_top if is_pickle(file.name)]
    if not pickles:
        raise FormatError(f"{text} has neither GGUF nor safetensors files, so there is nothing to load")
    if not wanted.allow_pickle:
        raise FormatError(
            f"{text} has its weights as pickles only ({pickles[0].name}), which run code when they are loaded; "
            "`models.allow_pickle` allows it"
        )
    return pickles


def _named_by(index: Path, reference: Reference) -> set[str]:
    try:
        named = set(json.loads(index.read_bytes())["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        named = set()
    if not named or not all(isinstance(name, str) for name in named):
        why = f"{reference.text}: {INDEX} is no sane index: its `weight_map` names no files"
        raise FormatError(f"{why}; it is in quarantine: {quarantine.put(index, why, reference)}")
    return named


def _bring(wanted: Wanted, files: Sequence[Offer], folder: Path, sparing: Path) -> None:
    for file in files:
        names.require_inside(file.name)
    room.make_on_disk(sum(partial.missing_bytes(folder / file.name, file) for file in files), sparing=sparing)
    for file in files:
        path = folder / file.name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ProvisionError(f"{file.name} cannot be written: {error.strerror}") from error
        if not path.exists() or path.stat().st_size != file.size_bytes:
            with _nothing_kept_without_room(wanted):
                partial.bring(file, path, stop=wanted.stop)
        _require_right(path, file, wanted)


@contextmanager
def _nothing_kept_without_room(wanted: Wanted) -> Iterator[None]:
    """What can never be whole, or has filled the disk, does not stay there."""
    try:
        yield
    except NoRoomError:
        shutil.rmtree(wanted.parts, ignore_errors=True)
        raise


def _require_right(path: Path, file: Offer, wanted: Wanted) -> None:
    if file.digest is None:
        raise DigestError(f"{wanted.reference.text}: its source vouches for no digest of {file.name}")
    found = download.sha1_git_of(path) if file.digest.startswith("sha1_git:") else download.sha256_of(path)
    quarantine.require_digest(path, file.digest, found, wanted.reference)
    quarantine.require_sane(path, file.name, wanted.reference, allow_pickle=wanted.allow_pickle)


def _forget_other_commits(part: Path) -> None:
    """What had come of another commit is of no use to this one."""
    for other in part.parent.iterdir() if part.parent.is_dir() else ():
        if other != part:
            shutil.rmtree(other, ignore_errors=True)
    part.mkdir(parents=True, exist_ok=True)


def _remove_what_is_not_of_it(folder: Path, paths: set[str]) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and str(path.relative_to(folder)) not in paths:
            path.unlink()

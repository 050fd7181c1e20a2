"""Where files go that came and are not what was expected: nothing loads them from there; somebody may look at them.

Source: ORCH-3042, ORCH-3094.
"""

import json
import shutil
from pathlib import Path

from reference_server.provision import cache, model_header
from reference_server.provision.errors import DigestError, FormatError
from reference_server.provision.reference import Reference

KEPT_MAX = 4


def require_digest(part: Path, expected: str, found: str, reference: Reference) -> None:
    """What has come has to be what was expected. Raises `DigestError`: it is in quarantine."""
    if found != expected:
        where = put(part, f"expected {expected}, got {found}", reference)
        what = f"{reference.text}: expected {expected}, got {found}"
        raise DigestError(
            f"{what}; it is in quarantine: {where}; see that digest and source are right, and fetch again"
        )


def require_sane(part: Path, name: str, reference: Reference, *, allow_pickle: bool) -> str:
    """The format of what has come. Raises `FormatError`: it is in quarantine."""
    try:
        return model_header.check(part, name=name, allow_pickle=allow_pickle)
    except FormatError as error:
        raise FormatError(f"{error}; it is in quarantine: {put(part, str(error), reference)}") from None


def put(path: Path, why: str, reference: Reference) -> Path:
    """Move a file or a folder out of the way; the oldest of more than a few are deleted."""
    folder = cache.root() / "quarantine" / reference.key
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.move(path, folder / (path.name + ".quarantined"))
    (folder / "why.json").write_text(json.dumps({"reference": reference.text, "why": why}) + "\n")
    oldest_first = sorted(folder.parent.iterdir(), key=lambda kept: kept.stat().st_mtime_ns)
    for old in oldest_first[:-KEPT_MAX]:
        shutil.rmtree(old, ignore_errors=True)
    return folder

"""Fetches a file whole and right, or says why not: resumable, verified against a pinned digest, with progress.

Source: ORCH-3042, ORCH-3093.
"""

import hashlib
from pathlib import Path

import httpx
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from reference_server.provision import console
from reference_server.provision.errors import DigestError, ProvisionError


def sha256_of(path: Path) -> str:
    """The digest of a file, as `sha256:…`."""
    with path.open("rb") as handle:
        return "sha256:" + hashlib.file_digest(handle, "sha256").hexdigest()


def fetch(url: str, target: Path, *, digest: str) -> Path:
    """Bring `url` to `target`; a file that is there and right is not fetched again.

    Raises:
        DigestError: the bytes are not those that were pinned; they were deleted.
        ProvisionError: the connection broke or the disk is full; the next call goes on where this one stopped.
    """
    if target.exists() and sha256_of(target) == digest:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    try:
        _resume(url, part, name=target.name)
    except (httpx.HTTPError, OSError) as error:
        raise ProvisionError(f"{target.name}: download broke off ({error}); run the command again to go on") from error
    found = sha256_of(part)
    if found != digest:
        part.unlink()
        raise DigestError(f"{target.name}: expected {digest}, got {found}; the file was deleted")
    part.rename(target)
    return target


def _resume(url: str, part: Path, *, name: str) -> None:
    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with httpx.stream("GET", url, headers=headers, timeout=60, follow_redirects=False) as answer:
        if answer.status_code == 416:  # all of it is here already; the digest will tell
            return
        answer.raise_for_status()
        if not answer.is_success:
            raise httpx.HTTPError(f"status {answer.status_code}, and redirects are not followed")
        is_rest = answer.status_code == 206
        length = int(answer.headers.get("Content-Length", 0)) + (have if is_rest else 0)
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, console=console.CONSOLE) as progress, part.open("ab" if is_rest else "wb") as handle:
            bar = progress.add_task(name, total=length or None, completed=have if is_rest else 0)
            for chunk in answer.iter_raw():
                handle.write(chunk)
                progress.advance(bar, len(chunk))

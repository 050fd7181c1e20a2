"""Fetches a file whole and right, or says why not: resumable, verified against a pinned digest, with progress.

Source: ORCH-3042, ORCH-3080, ORCH-3093.
"""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from reference_server.provision import console, network
from reference_server.provision.errors import DigestError, ProvisionError

if TYPE_CHECKING:
    import httpx


def sha256_of(path: Path) -> str:
    """The digest of a file, as `sha256:…`."""
    with path.open("rb") as handle:
        return "sha256:" + hashlib.file_digest(handle, "sha256").hexdigest()


def fetch(url: str, target: Path, *, digest: str, purpose: str = "engine", mirrors: tuple[str, ...] = ()) -> Path:
    """Bring `url` to `target`; a file that is there and right is not fetched again.

    Args:
        purpose, mirrors: see `network.going_out`.

    Raises:
        OutboundRefusedError: the outbound policy refuses it.
        DigestError: the bytes are not those that were pinned; they were deleted.
        ProvisionError: the connection broke or the disk is full; the next call goes on where this one stopped.
    """
    if target.exists() and sha256_of(target) == digest:
        return target
    import httpx  # here: a server that fetches nothing does not load it

    from reference_server.policy.clients import http_client

    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    with network.going_out(purpose, mirrors=mirrors) as held, http_client(held) as client:
        try:
            _resume(client, url, part, name=target.name)
        except (httpx.HTTPError, OSError) as error:
            why = f"{target.name}: download broke off ({error}); run the command again to go on"
            raise ProvisionError(why) from error
    found = sha256_of(part)
    if found != digest:
        part.unlink()
        raise DigestError(f"{target.name}: expected {digest}, got {found}; the file was deleted")
    part.rename(target)
    return target


def _resume(client: "httpx.Client", url: str, part: Path, *, name: str) -> None:
    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with client.stream("GET", url, headers=headers) as answer:
        if answer.status_code == 416:  # all of it is here already; the digest will tell
            return
        if not answer.is_success:  # httpx's own text would quote the address, with what is secret in it
            why = "and redirects are not followed" if answer.is_redirect else "it does not have the file"
            raise OSError(f"status {answer.status_code}, {why}")
        is_rest = answer.status_code == 206
        length = int(answer.headers.get("Content-Length", 0)) + (have if is_rest else 0)
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, console=console.CONSOLE) as progress, part.open("ab" if is_rest else "wb") as handle:
            bar = progress.add_task(name, total=length or None, completed=have if is_rest else 0)
            for chunk in answer.iter_raw():
                handle.write(chunk)
                progress.advance(bar, len(chunk))

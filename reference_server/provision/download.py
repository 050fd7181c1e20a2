"""Fetches a file whole and right, or says why not: resumable, verified against a pinned digest, with progress.

Source: ORCH-3042, ORCH-3080, ORCH-3093.
"""

import errno
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from reference_server.provision import console, network
from reference_server.provision.errors import DigestError, NoRoomError, ProvisionError
from reference_server.provision.work import Work

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

if TYPE_CHECKING:
    import httpx


def sha256_of(path: Path) -> str:
    """The digest of a file, as `sha256:…`."""
    with path.open("rb") as handle:
        return "sha256:" + hashlib.file_digest(handle, "sha256").hexdigest()


def sha1_git_of(path: Path) -> str:
    """What git names a file's content, as `sha1_git:…` (git's own object format: `blob`, the length, the bytes)."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as handle:
        while chunk := handle.read(1024 * 1024):
            digest.update(chunk)
    return "sha1_git:" + digest.hexdigest()


def fetch(
    url: str,
    target: Path,
    *,
    digest: str,
    purpose: str = "engine",
    mirrors: tuple[str, ...] = (),
    follow_redirects: bool = False,
    work: Work | None = None,
) -> Path:
    """Bring `url` to `target`; a file that is there and right is not fetched again.

    Args:
        purpose, mirrors: see `network.going_out`.
        follow_redirects: each hop is asked about by the policy.

    Raises:
        OutboundRefusedError: the outbound policy refuses it.
        DigestError: the bytes are not those that were pinned; they were deleted.
        NoRoomError: the disk is full; nothing was kept.
        StoppedError: the work was called off.
        ProvisionError: the connection broke; the next call goes on where this one stopped.
    """
    if target.exists() and sha256_of(target) == digest:
        return target
    import httpx  # here: a server that fetches nothing does not load it

    from reference_server.policy.clients import http_client

    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    with (
        network.going_out(purpose, mirrors=mirrors) as held,
        http_client(held, follow_redirects=follow_redirects) as client,
    ):
        try:
            _resume(client, url, part, target.name, work or Work())
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            if isinstance(error, OSError) and error.errno in FULL:
                part.unlink(missing_ok=True)
                why = f"{target.name}: {error.strerror}: it was not kept; free some of the disk, and try again"
                raise NoRoomError(why) from error
            why = f"{target.name}: download broke off ({error}); run the command again to go on"
            raise ProvisionError(why) from error
    found = sha256_of(part)
    if found != digest:
        part.unlink()
        raise DigestError(
            f"{target.name}: expected {digest}, got {found}; it was deleted; see that digest and source are right"
        )
    part.rename(target)
    return target


def _resume(client: "httpx.Client", url: str, part: Path, name: str, work: Work) -> None:
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
                work.require_wanted()
                handle.write(chunk)
                progress.advance(bar, len(chunk))

"""One file on its way here: gone on with where it stopped, never longer than its source has announced, with progress.

Source: ORCH-3042, ORCH-3204.
"""

import contextlib
import errno
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from reference_server.provision import console
from reference_server.provision.errors import NoRoomError, ProvisionError, StoppedError
from reference_server.provision.sources.offer import Offer

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def missing_bytes(part: Path, offer: Offer) -> int:
    """How much of a file is still to come."""
    have = part.stat().st_size if part.exists() else 0
    return max(0, (offer.size_bytes or 0) - have)


def bring(offer: Offer, part: Path, *, stop: threading.Event | None = None) -> None:
    """Bring what is missing of a file.

    Args:
        part: where it grows.

    Raises:
        NoRoomError: the disk is full; nothing of it was kept.
        StoppedError: nobody wants it any more.
        ProvisionError: it broke off, or is longer than announced; the next try goes on, or begins anew.
    """
    start = part.stat().st_size if part.exists() else 0
    chunks = offer.read(start)
    if chunks is None:
        start, chunks = 0, offer.read(0) or iter(())
    try:
        with part.open("ab" if start else "wb") as file, _bar(offer, start) as advance:
            for chunk in chunks:
                if stop is not None and stop.is_set():
                    raise StoppedError(f"{offer.name}: stopped; the next fetch goes on from here")
                file.write(chunk)
                advance(len(chunk))
                _require_sane_length(file.tell(), offer, part)
    except OSError as error:
        if error.errno in FULL:
            part.unlink(missing_ok=True)
            raise NoRoomError(
                f"the disk is full: {offer.name} was not kept; free some of it and fetch again"
            ) from error
        raise ProvisionError(f"{offer.name} cannot be written: {error.strerror}") from error
    have = part.stat().st_size
    if offer.size_bytes is not None and have < offer.size_bytes:
        raise ProvisionError(f"the download broke off at {have} of {offer.size_bytes} bytes; fetch again to go on")


def _require_sane_length(have: int, offer: Offer, part: Path) -> None:
    if offer.size_bytes is not None and have > offer.size_bytes:
        part.unlink(missing_ok=True)
        raise ProvisionError(f"its source sends more than the {offer.size_bytes} bytes that it has announced")


@contextlib.contextmanager
def _bar(offer: Offer, start: int) -> Iterator[Callable[[int], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console.CONSOLE) as progress:
        bar = progress.add_task(offer.name, total=offer.size_bytes, completed=start)
        yield lambda count: progress.advance(bar, count)

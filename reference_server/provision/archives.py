"""Takes files out of archives without letting the archive choose where they go.

Source: ORCH-3204; security rule: archives and paths that cannot escape.
"""

import shutil
import stat
import sys
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING or sys.version_info >= (3, 11, 4):
    import tarfile
else:
    from backports import tarfile  # the same module, with the extraction filters that Python got in 3.11.4

from reference_server.provision.errors import ProvisionError

MEMBERS_MAX = 100_000  # llama.cpp's source has 3,000
HEADER_BYTES_MAX = 1024**2  # of a name, or of what PAX says of a member; tarfile takes it into memory whole
_HEADERS = {
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
}


class _Member(tarfile.TarInfo):
    """One whose headers are no bomb."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Member":
        made = super().frombuf(buf, encoding, errors)
        if made.type in _HEADERS and made.size > HEADER_BYTES_MAX:
            raise ProvisionError(f"an archive is refused: one of its headers has {made.size} bytes")
        return made


def unpack_tar(archive: Path, target: Path, *, bytes_max: int) -> None:
    """Unpack a tar archive below `target`.

    Raises:
        ProvisionError: a member would leave `target`, is a device, or the whole is a bomb: larger than `bytes_max`,
            more than `MEMBERS_MAX` files, or with a header that is longer than any is.
    """
    try:
        with tarfile.open(archive, tarinfo=_Member) as tar:
            _require_small(archive, (member.size for member in tar), bytes_max)
            for member in tar:
                if (member.issym() or member.islnk()) and not _stays(member.linkname):
                    wrong = f"the link {member.name[:200]!r} would leave its folder"
                    raise ProvisionError(f"{archive.name}: refused, {wrong}")
            tar.extractall(target, filter="data")
    except tarfile.FilterError as error:
        raise ProvisionError(f"{archive.name}: refused, a member would leave its folder: {error}") from error
    except (tarfile.TarError, OSError, EOFError, KeyError, ValueError, RecursionError) as error:  # a link to itself
        raise ProvisionError(f"{archive.name}: cannot be unpacked: {error}") from error


def _stays(link: str) -> bool:
    """Whether a link leads down only: Python's own filter has let others through (CVE-2025-4138, CVE-2025-4330)."""
    return not link.startswith("/") and ".." not in link.split("/")


def unpack(archive: Path, target: Path, *, bytes_max: int) -> None:
    """Unpack a tar or zip archive, whichever it is. Raises `ProvisionError`: as `unpack_tar`, or it is neither."""
    if _is_tar(archive):
        unpack_tar(archive, target, bytes_max=bytes_max)
    elif zipfile.is_zipfile(archive):
        _unpack_zip(archive, target, bytes_max=bytes_max)
    else:
        raise ProvisionError(f"{archive.name}: is neither a tar nor a zip archive")


def _is_tar(archive: Path) -> bool:
    try:
        with tarfile.open(archive, tarinfo=_Member):
            return True
    except (tarfile.TarError, OSError, EOFError, ValueError):
        return False


def _require_small(archive: Path, sizes: Iterable[int], bytes_max: int) -> None:
    """Neither too many bytes nor too many members; the first one too many ends the look. Raises `ProvisionError`."""
    whole = 0
    for count, size in enumerate(sizes, start=1):
        whole += size
        if whole > bytes_max:
            raise ProvisionError(f"{archive.name}: refused, unpacks to more than {bytes_max} bytes")
        if count > MEMBERS_MAX:
            raise ProvisionError(f"{archive.name}: refused, unpacks to more than {MEMBERS_MAX} files")


def _unpack_zip(archive: Path, target: Path, *, bytes_max: int) -> None:
    try:
        with zipfile.ZipFile(archive) as zipped:
            _require_small(archive, (member.file_size for member in zipped.infolist()), bytes_max)
            for member in zipped.infolist():
                if (wrong := _wrong_in_zip(member)) is not None:
                    raise ProvisionError(f"{archive.name}: refused, {member.filename[:200]!r} {wrong}")
            zipped.extractall(target)  # noqa: S202 - every name was looked at
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, RuntimeError, zlib.error) as error:
        raise ProvisionError(f"{archive.name}: cannot be unpacked: {error}") from error


def _wrong_in_zip(member: zipfile.ZipInfo) -> str | None:
    name = member.filename
    if not name or name.startswith("/") or "\\" in name or ":" in name or ".." in name.split("/"):
        return "would leave its folder"
    if (kind := stat.S_IFMT(member.external_attr >> 16)) not in {0, stat.S_IFREG, stat.S_IFDIR}:
        return "is a link" if kind == stat.S_IFLNK else "is no file"
    return None


def take_from_zip(archive: Path, member: str, target: Path) -> None:
    """Copy one member of a zip archive to the file `target`.

    Raises:
        ProvisionError: no such member, or a broken archive.
    """
    try:
        with zipfile.ZipFile(archive) as zipped, zipped.open(member) as source, target.open("wb") as sink:
            shutil.copyfileobj(source, sink)
    except (zipfile.BadZipFile, KeyError, OSError) as error:
        raise ProvisionError(f"{archive.name}: {member} cannot be taken out: {error}") from error

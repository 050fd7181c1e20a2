"""Takes files out of archives without letting the archive choose where they go.

Source: ORCH-3204; security rule: archives and paths that cannot escape.
"""

import shutil
import tarfile
import zipfile
from pathlib import Path

from reference_server.provision.errors import ProvisionError


def unpack_tar(archive: Path, target: Path, *, bytes_max: int) -> None:
    """Unpack a tar archive below `target`.

    Raises:
        ProvisionError: a member would leave `target`, is a device, or the whole is larger than `bytes_max`.
    """
    try:
        with tarfile.open(archive) as tar:
            if sum(member.size for member in tar) > bytes_max:
                raise ProvisionError(f"{archive.name}: unpacks to more than {bytes_max} bytes")
            tar.extractall(target, filter="data")
    except tarfile.FilterError as error:
        raise ProvisionError(f"{archive.name}: refused, a member would leave its folder: {error}") from error
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ProvisionError(f"{archive.name}: cannot be unpacked: {error}") from error


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

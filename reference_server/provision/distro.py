"""Which Linux this is, and what its package manager calls things: for remedies that can be typed as they stand.

Source: ORCH-3202, OC-CONFIG-6027; os-release(5).
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

Family = Literal["debian", "fedora", "arch", "suse", "alpine"]

INSTALL: Final[Mapping[Family, tuple[str, ...]]] = {
    "debian": ("apt-get", "install", "-y"),
    "fedora": ("dnf", "install", "-y"),
    "arch": ("pacman", "-S", "--noconfirm"),
    "suse": ("zypper", "--non-interactive", "install"),
    "alpine": ("apk", "add"),
}
_NAMES: Final[Mapping[str, Family]] = {
    **dict.fromkeys(("debian", "ubuntu"), "debian"),
    **dict.fromkeys(("fedora", "rhel", "centos", "rocky", "almalinux"), "fedora"),
    "arch": "arch",
    **dict.fromkeys(("suse", "opensuse", "sles"), "suse"),
    "alpine": "alpine",
}


def family(release: Path = Path("/etc/os-release")) -> Family | None:
    """The family of this host's distribution; None for one that we do not know."""
    try:
        lines = release.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    fields = dict(line.split("=", 1) for line in lines if "=" in line)
    names = [fields.get("ID", ""), *fields.get("ID_LIKE", "").strip("\"'").split()]
    return next((_NAMES[name] for name in (name.strip("\"'") for name in names) if name in _NAMES), None)


def install_command(packages: Sequence[str], of: Family) -> list[str] | None:
    """What installs these packages: as root, else by sudo without a password; None where neither is possible."""
    command = [*INSTALL[of], *packages]
    if os.geteuid() == 0:
        return command if shutil.which(command[0]) else None
    if shutil.which("sudo") and shutil.which(command[0]):
        return ["sudo", "-n", "--preserve-env=http_proxy,https_proxy,no_proxy", *command]
    return None

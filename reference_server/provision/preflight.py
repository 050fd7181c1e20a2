"""What a host lacks for a plan, all of it at once and before anything is fetched; and bringing it, where allowed.

Source: ORCH-3092, ORCH-3202, OC-CONFIG-6027.
"""

import shutil
from collections.abc import Sequence

from reference_server.policy.clients import environment as ways_of
from reference_server.provision import cache, distro, network, step
from reference_server.provision.errors import NoRoomError, PreflightError
from reference_server.provision.tools import Found
from reference_server.provision.work import Work


def require(found: Sequence[Found], *, what: str) -> None:
    """Check that everything is here.

    Args:
        what: wants it, for the text.

    Raises:
        PreflightError: names everything that is not, with its remedy.
    """
    lacking = [one for one in found if one.problem is not None]
    if lacking:
        raise PreflightError(f"{what}: " + "; ".join(f"{one.problem} (remedy: {one.remedy})" for one in lacking))


def require_room(needed_bytes: int) -> None:
    """Check the disk of the cache. Raises `NoRoomError`."""
    root = cache.root()
    free = shutil.disk_usage(next(folder for folder in (root, *root.parents) if folder.exists())).free
    if free < needed_bytes:
        raise NoRoomError(
            f"{root} has {free // 10**6} MB free and {needed_bytes // 10**6} MB are needed: "
            f"free the disk, or name another folder with {cache.CACHE_ENV}"
        )


def install_packages(found: Sequence[Found], work: Work) -> None:
    """Install what is missing by the system's package manager, which goes out under the outbound policy.

    Raises:
        ProvisionError: it could not be installed, or the policy refuses.
    """
    of, packages = distro.family(), [one.package for one in found if one.problem is not None and one.package]
    if of is None or not packages:
        return
    command = distro.install_command(packages, of)
    if command is None:
        return
    log_file = step.new_log("system-packages", cache.root() / "logs")
    with network.going_out("package") as held:
        network.require_on()
        step.run(f"installing {' '.join(packages)}", command, log_file, env=ways_of(held), work=work)

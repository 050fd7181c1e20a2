"""Brings an engine by its recipe: planned, looked for, preflighted, made aside, and put in place in one move.

    lock → here already? → preflight → room → plan kept → made in a folder beside → in place

What fails leaves the engines of the cache as they were.

Source: ORCH-3200, ORCH-3202, ORCH-3203, ORCH-3204, ORCH-3206, ORCH-3207, OC-CONFIG-6027.
"""

from pathlib import Path
from typing import Protocol

from reference_server.provision import cache, preflight, step
from reference_server.provision.console import say
from reference_server.provision.download import FULL
from reference_server.provision.errors import NoRoomError, ProvisionError
from reference_server.provision.plan import Plan
from reference_server.provision.tools import Found
from reference_server.provision.work import Site, Work


class Recipe(Protocol):
    """How one engine is brought."""

    def plan(self) -> Plan:
        """What will be done; asks nothing outside this machine. Raises `PreflightError`."""

    def needs(self) -> list[Found]:
        """What this host has, and lacks, of what the plan needs."""

    def is_whole(self, manifest: dict[str, str]) -> bool:
        """Whether what a manifest tells of is still there."""

    def make(self, site: Site) -> dict[str, str]:
        """Carry the plan out. Gives what the manifest is to tell beside the plan's.

        Raises:
            ProvisionError: it failed.
        """


def find(recipe: Recipe) -> dict[str, str] | None:
    """The manifest of an engine that is here and whole. Raises `PreflightError`: it cannot even be planned."""
    manifest = cache.manifest_of(Path(recipe.plan().folder))
    return manifest if manifest is not None and recipe.is_whole(manifest) else None


def install(recipe: Recipe, *, may_install_packages: bool = False, work: Work | None = None) -> dict[str, str]:
    """Bring an engine unless it is here. Blocks.

    Args:
        may_install_packages: tools that are missing are installed by the system's package manager.

    Returns:
        Its manifest: `engine`, `mode`, `version`, `key`, `plan` (its id), and what the recipe adds.

    Raises:
        ProvisionError: it could not be brought; the cache is as it was, but for downloads that the next try uses.
    """
    work = work or Work()
    wanted = recipe.plan()
    folder = Path(wanted.folder)
    name = f"{wanted.engine} {wanted.version}"
    try:
        with cache.locked(wanted.engine, waiting=say):
            work.require_wanted()
            if (here := find(recipe)) is not None:
                say(f"{name} is installed: {folder}")
                return here
            _preflight(recipe, wanted, may_install_packages=may_install_packages, work=work)
            made = _made(recipe, wanted, work)
    except OSError as error:
        if error.errno in FULL:
            raise NoRoomError(f"{name}: the disk is full; free some of it, and try again") from error
        raise ProvisionError(f"{name}: {error.strerror or error}: {error.filename or cache.root()}") from error
    say(f"{name} is installed: {folder}")
    return made


def _preflight(recipe: Recipe, wanted: Plan, *, may_install_packages: bool, work: Work) -> None:
    found = recipe.needs()
    if may_install_packages and any(one.problem and one.package for one in found):
        preflight.install_packages(found, work)
        found = recipe.needs()
    preflight.require(found, what=f"{wanted.engine} ({wanted.mode})")
    preflight.require_room(wanted.disk_bytes)


def _made(recipe: Recipe, wanted: Plan, work: Work) -> dict[str, str]:
    wanted.keep()
    say(f"{wanted.engine} {wanted.version}: {wanted.mode}, in {wanted.folder}; the plan is {wanted.id}")
    log_file = step.new_log(f"{wanted.engine}-{wanted.key}", cache.root() / "logs")
    names = {"engine": wanted.engine, "mode": wanted.mode, "version": wanted.version, "key": wanted.key}
    manifest: dict[str, str] = {}
    with cache.staged(Path(wanted.folder), lambda _: manifest) as staging:
        extra = recipe.make(Site(staging, Path(wanted.folder), log_file, work))
        manifest.update({**names, "plan": wanted.id, **extra})
    return manifest

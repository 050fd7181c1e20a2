"""An engine that comes as Python packages: an environment of its own in the cache, from a lock with hashes.

What pip has fetched whole stays in `downloads/` until the install is complete, so that the next try goes on there.

Source: ORCH-3202, ORCH-3203, ORCH-3204, ORCH-3206, OC-CONFIG-6024.
"""

import os
import platform
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from reference_server.policy.clients import environment as ways_of
from reference_server.provision import cache, download, network, package_index, step, tools
from reference_server.provision.errors import PreflightError
from reference_server.provision.plan import Input, Plan, Step, folder_of, key_of
from reference_server.provision.tools import Found
from reference_server.provision.work import Site

LOCKS = Path(__file__).parent / "locks"
REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)
FETCHED = re.compile(r"^(?:Collecting|Processing|Requirement already) ")  # what pip prints for each package
PIP = ("-m", "pip", "--disable-pip-version-check", "--no-input")

Furnish = Callable[[Site], dict[str, str]]
"""Puts what is no package into the staged folder, and tells the manifest of the final one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """A `Recipe` for packages.

    Attributes:
        lock: what is installed, with hashes.
        unlocked: pinned by version alone: which build of it fits depends on the machine.
        furniture: files of ours that the environment is furnished with or by; a change of theirs is another key.
        disk_bytes: about what it takes.
        glibc, pythons: what the packages were built for.
    """

    engine: str
    version: str
    lock: Path
    furnish: Furnish
    unlocked: tuple[str, ...] = ()
    furniture: tuple[Path, ...] = ()
    disk_bytes: int
    glibc: tuple[int, int]
    pythons: tuple[str, ...]

    def plan(self) -> Plan:
        """What will be done. Raises `PreflightError`: there is no such lock."""
        try:
            lock = self.lock.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise unreadable(self.lock, error) from error
        python = "{}.{}".format(*sys.version_info[:2])
        furniture = (path.read_text(encoding="utf-8") for path in self.furniture)
        key = key_of(self.version, [lock, self.unlocked, python, platform.machine(), *furniture])
        folder = folder_of(self.engine, key)
        return Plan(
            engine=self.engine,
            mode="package",
            version=self.version,
            key=key,
            folder=str(folder),
            tools=tuple(found.tool for found in self.needs()),
            inputs=(
                Input(self.lock.name, download.sha256_of(self.lock)),
                *(Input(f"{name}=={pinned}") for name, pinned in REQUIREMENT.findall(lock)),
                *map(Input, self.unlocked),
            ),
            steps=tuple(self._steps(folder.with_name(key + ".staging"), key)),
            disk_bytes=self.disk_bytes,
        )

    def needs(self) -> list[Found]:
        """The platform that the packages were built for, and Python's venv."""
        return [*tools.look_for_linux(glibc=self.glibc, pythons=self.pythons), tools.look_for_venv()]

    def is_whole(self, manifest: dict[str, str]) -> bool:
        """The environment has its Python."""
        return Path(manifest["python"]).exists()

    def make(self, site: Site) -> dict[str, str]:
        """Fetch everything, install it without an index, and furnish the environment."""
        downloads = _downloads(self.engine, site.final.name)
        downloads.mkdir(parents=True, exist_ok=True)
        # The lock says all; a configuration of the user's must not add to it. The index stays the one pip would ask.
        env = {name: "0" for name in os.environ if name in {"PIP_REQUIRE_VIRTUALENV", "PIP_USER"}}
        total = len(REQUIREMENT.findall(self.lock.read_text(encoding="utf-8")))
        with network.going_out("package", mirrors=package_index.mirrors()) as held:
            for one in self._steps(site.staging, site.final.name):
                every = {**env, **ways_of(held)}
                step.run(one.name, one.command, site.log_file, percent=_Counted(total), env=every, work=site.work)
        extra = self.furnish(site)
        shutil.rmtree(downloads, ignore_errors=True)
        return {"python": str(site.final / "bin" / "python"), **extra}

    def _steps(self, home: Path, key: str) -> list[Step]:
        """Everything is fetched before anything is installed."""
        python, downloads = str(home / "bin" / "python"), str(_downloads(self.engine, key))
        locked = ("--no-deps", "--require-hashes", "-r", str(self.lock))
        fetch = ("download", "-d", downloads, "--find-links", downloads)
        offline = ("install", "--no-index", "--find-links", downloads)
        named = " ".join(self.unlocked)
        unlocked = [
            Step(f"fetching {named}", (python, *PIP, *fetch, *self.unlocked)),
            Step(f"installing {named}", (python, *PIP, *offline, *self.unlocked)),
        ]
        return [
            Step("making the environment", (sys.executable, "-m", "venv", str(home))),
            *(unlocked if self.unlocked else ()),
            Step("fetching the locked packages", (python, *PIP, *fetch, *locked)),
            Step("installing them", (python, *PIP, *offline, *locked)),
        ]


def unreadable(lock: Path, error: OSError | UnicodeDecodeError) -> PreflightError:
    """Of a lock, in words."""
    why = error.strerror if isinstance(error, OSError) else "it is no text"
    return PreflightError(f"{lock}: the lock cannot be read: {why}")


def bare(site: Site) -> dict[str, str]:
    """The `Furnish` of an engine that is its packages and nothing else."""
    del site
    return {}


def _downloads(engine: str, key: str) -> Path:
    return cache.root() / "downloads" / f"{engine}-{key}"


class _Counted:
    """How far pip is, by the packages that it has named."""

    def __init__(self, total: int) -> None:
        self._seen, self._total = 0, max(1, total)

    def __call__(self, line: str) -> int | None:
        if not FETCHED.match(line):
            return None
        self._seen += 1
        return min(100, self._seen * 100 // self._total)

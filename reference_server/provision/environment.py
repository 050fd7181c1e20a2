"""An engine that comes as Python packages: an environment of its own in the cache, from a lock with hashes.

What pip has fetched whole stays in `downloads/` until the install is complete, so that the next try goes on there.

Source: ORCH-3202, ORCH-3203, ORCH-3204, ORCH-3206, OC-CONFIG-6024.
"""

import hashlib
import json
import os
import platform
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from reference_server.policy.clients import environment as ways_of
from reference_server.provision import cache, network, package_index, step
from reference_server.provision.console import say
from reference_server.provision.errors import PreflightError

LOCKS = Path(__file__).parent / "locks"
REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)
FETCHED = re.compile(r"^(?:Collecting|Processing|Requirement already) ")  # what pip prints for each package
PIP = ("-m", "pip", "--disable-pip-version-check", "--no-input")

Furnish = Callable[[Path, Path], dict[str, str]]
"""Puts what is no package into the staged folder (first), and tells the manifest of the final one (second)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What an install will do; equal plans have equal keys and give equal results.

    Attributes:
        packages: those that the lock pins, with their hashes.
        unlocked: pinned by version alone: which build of it fits depends on the machine.
        size: about what it takes on disk.
        key: names the folder in the cache.
    """

    engine: str
    version: str
    packages: tuple[str, ...]
    unlocked: tuple[str, ...]
    python: str
    size: str
    key: str


def plan(
    engine: str, version: str, *, unlocked: tuple[str, ...] = (), furniture: tuple[Path, ...] = (), size: str
) -> Plan:
    """What the lock of this engine says; asks nothing outside this machine.

    Args:
        furniture: files of ours that the environment is furnished with or by; a change of theirs is another key.
    """
    lock = (LOCKS / f"{engine}.txt").read_text()
    python = "{}.{}".format(*sys.version_info[:2])
    text = json.dumps([lock, unlocked, python, platform.machine(), *(path.read_text() for path in furniture)])
    key = f"{version}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    packages = tuple(f"{name}=={pinned}" for name, pinned in REQUIREMENT.findall(lock))
    return Plan(engine, version, packages, unlocked, python, size, key)


def plan_as_dict(wanted: Plan) -> dict[str, object]:
    """The plan as plain data, for printing."""
    return {**asdict(wanted), "folder": str(folder_of(wanted)), "commands": [command for _, command in _steps(wanted)]}


def folder_of(wanted: Plan) -> Path:
    """Where it is, once it is installed."""
    return cache.root() / "engines" / wanted.engine / wanted.key


def install(wanted: Plan, furnish: Furnish) -> dict[str, str]:
    """Make the environment unless it is there.

    Returns:
        Its manifest: `engine`, `version`, `key`, `python` (absolute path), and what `furnish` added.

    Raises:
        ProvisionError: it could not be made; the cache is as it was, but for downloads that the next try goes on with.
    """
    folder = folder_of(wanted)
    with cache.locked(wanted.engine, waiting=say):
        if (manifest := cache.manifest_of(folder)) is not None and Path(manifest["python"]).exists():
            say(f"{wanted.engine} {wanted.version} is installed: {folder}")
            return manifest
        say(f"{wanted.engine} {wanted.version}: about {wanted.size} in {folder}")
        extra: dict[str, str] = {}
        with cache.staged(folder, lambda final: {**_manifest(wanted, final), **extra}) as staging:
            _make(wanted, staging)
            extra.update(furnish(staging, folder))
        shutil.rmtree(_downloads(wanted), ignore_errors=True)
    manifest = cache.manifest_of(folder)
    assert manifest is not None  # noqa: S101 - `staged` has just written it
    say(f"{wanted.engine} {wanted.version} is installed: {folder}")
    return manifest


def require_linux(*, glibc: tuple[int, int], pythons: tuple[str, ...]) -> None:
    """Check what the packages of an engine were built for.

    Raises:
        PreflightError: this machine is another; the text says what to do.
    """
    family, version = platform.libc_ver()
    found = tuple(int(part) for part in version.split(".")[:2]) if family == "glibc" else (0, 0)
    if sys.platform != "linux" or found < glibc:
        wanted = ".".join(map(str, glibc))
        raise PreflightError(f"this engine needs Linux with glibc {wanted} or newer; attach one that runs elsewhere")
    if "{}.{}".format(*sys.version_info[:2]) not in pythons:
        raise PreflightError(f"this engine needs Python {' or '.join(pythons)}: run llama-orch with one of them")


def _make(wanted: Plan, staging: Path) -> None:
    downloads, log_file = _downloads(wanted), step.new_log(f"{wanted.engine}-{wanted.key}", cache.root() / "logs")
    downloads.mkdir(parents=True, exist_ok=True)
    # The lock says all; a configuration of the user's must not add to it. The index stays the one that pip would ask.
    env = {name: "0" for name in os.environ if name in {"PIP_REQUIRE_VIRTUALENV", "PIP_USER"}}
    with network.going_out("package", mirrors=package_index.mirrors()) as held:
        for name, command in _steps(wanted, staging):
            every = {**env, **ways_of(held)}
            step.run(name, command, log_file, percent=_Counted(len(wanted.packages)), env=every)


def _steps(wanted: Plan, staging: Path | None = None) -> list[tuple[str, list[str]]]:
    """Names and commands, in order. Everything is fetched before anything is installed."""
    home = staging or folder_of(wanted)
    python, downloads = str(home / "bin" / "python"), str(_downloads(wanted))
    locked = ("--no-deps", "--require-hashes", "-r", str(LOCKS / f"{wanted.engine}.txt"))
    fetch = ("download", "-d", downloads, "--find-links", downloads)
    offline = ("install", "--no-index", "--find-links", downloads)
    steps = [
        ("making the environment", [sys.executable, "-m", "venv", str(home)]),
        ("fetching the locked packages", [python, *PIP, *fetch, *locked]),
        ("installing them", [python, *PIP, *offline, *locked]),
    ]
    if wanted.unlocked:
        steps[1:1] = [
            (f"fetching {' '.join(wanted.unlocked)}", [python, *PIP, *fetch, *wanted.unlocked]),
            (f"installing {' '.join(wanted.unlocked)}", [python, *PIP, *offline, *wanted.unlocked]),
        ]
    return steps


def _manifest(wanted: Plan, final: Path) -> dict[str, str]:
    return {
        "engine": wanted.engine,
        "version": wanted.version,
        "key": wanted.key,
        "python": str(final / "bin" / "python"),
    }


def _downloads(wanted: Plan) -> Path:
    return cache.root() / "downloads" / f"{wanted.engine}-{wanted.key}"


class _Counted:
    """How far pip is, by the packages that it has named."""

    def __init__(self, total: int) -> None:
        self._seen, self._total = 0, max(1, total)

    def __call__(self, line: str) -> int | None:
        if not FETCHED.match(line):
            return None
        self._seen += 1
        return min(100, self._seen * 100 // self._total)

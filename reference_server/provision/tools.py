"""The tools that provisioning needs: where they are, which version, and what brings one that is missing.

Source: ORCH-3202, OC-CONFIG-6021.
"""

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from reference_server.provision import distro
from reference_server.provision.distro import Family

ASK_S = 20.0
VERSION = re.compile(r"\d+(?:\.\d+)+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One thing that a host may lack.

    Attributes:
        programs: any of them will do, the first that is there.
        ask: arguments that make it tell its version.
        at_least: the lowest version that will do.
        packages: what brings it, by family.
        remedy: where no package does.
    """

    name: str
    programs: tuple[str, ...]
    ask: tuple[str, ...] = ("--version",)
    at_least: tuple[int, ...] = ()
    packages: Mapping[Family, str]
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A tool on this host.

    Attributes:
        program: its path; None = it is missing.
        version: as it tells it; empty where it does not.
        problem: why it will not do; None where it does.
        remedy: what to do about that.
        package: the system's package that would bring it, where there is one.
    """

    tool: str
    program: str | None = None
    version: str = ""
    problem: str | None = None
    remedy: str = ""
    package: str | None = None


def _everywhere(name: str) -> dict[Family, str]:
    return dict.fromkeys(distro.INSTALL, name)


COMPILER = Tool(
    name="c++",
    programs=(*([os.environ["CXX"]] if os.environ.get("CXX") else []), "c++", "g++", "clang++"),
    packages={**_everywhere("gcc-c++"), "debian": "g++", "arch": "gcc", "alpine": "g++"},
    remedy="install a C++ compiler, or set CXX",
)
MAKE = Tool(
    name="ninja or make",
    programs=("ninja", "make"),
    packages={**_everywhere("ninja-build"), "arch": "ninja", "suse": "ninja"},
    remedy="install ninja or make",
)
CMAKE = Tool(
    name="cmake",
    programs=("cmake",),
    at_least=(3, 14),
    packages=_everywhere("cmake"),
    remedy="install cmake 3.14 or newer",
)
GIT = Tool(
    name="git", programs=("git",), at_least=(2, 26), packages=_everywhere("git"), remedy="install git 2.26 or newer"
)
NVCC = Tool(
    name="nvcc",
    programs=("nvcc", "/usr/local/cuda/bin/nvcc"),
    packages={"debian": "nvidia-cuda-toolkit", "arch": "cuda"},
    remedy="install NVIDIA's CUDA toolkit (developer.nvidia.com/cuda-downloads), or build with `cuda: off`",
)
DOCKER = Tool(
    name="docker",
    programs=("docker",),
    ask=("version", "--format", "{{.Server.Version}}"),
    packages={"debian": "docker.io", "fedora": "moby-engine", "arch": "docker", "suse": "docker", "alpine": "docker"},
    remedy="install docker or podman",
)
PODMAN = Tool(
    name="podman",
    programs=("podman",),
    ask=("version", "--format", "{{.Client.Version}}"),
    packages=_everywhere("podman"),
    remedy="install podman or docker",
)
ALL: Final = (COMPILER, MAKE, CMAKE, GIT, NVCC, DOCKER, PODMAN)


def where(tool: Tool) -> str | None:
    """The path of a tool, whether it will do or not."""
    return next((path for name in tool.programs if (path := shutil.which(name))), None)


def look(tool: Tool) -> Found:
    """Whether a tool is here and will do. Asks it for its version, for seconds at most."""
    program = where(tool)
    if program is None:
        return _wanting(tool, f"{tool.name} is missing")
    try:
        asked = subprocess.run(
            [program, *tool.ask], capture_output=True, text=True, errors="replace", check=False, timeout=ASK_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Found(tool=tool.name, program=program, problem=f"{tool.name} does not run: {error}", remedy=tool.remedy)
    if asked.returncode != 0 and tool in (DOCKER, PODMAN):
        return _silent(tool, program, asked.stderr)
    version = VERSION.search(asked.stdout)
    shown = version[0] if version else ""
    if tool.at_least and version and tuple(map(int, shown.split("."))) < tool.at_least:
        found = _wanting(tool, f"{tool.name} {shown} is too old: {'.'.join(map(str, tool.at_least))} is needed")
        return Found(tool=tool.name, program=program, version=shown, problem=found.problem, remedy=found.remedy)
    return Found(tool=tool.name, program=program, version=shown)


def look_for_venv() -> Found:
    """Whether Python can make environments: Debian packs the part that does apart."""
    if importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip"):
        return Found(tool="python venv", program=sys.executable, version=platform.python_version())
    return _wanting(
        Tool(name="python venv", programs=(), packages={"debian": "python3-venv"}, remedy="install Python with venv"),
        "Python's venv module is missing",
    )


def look_for_runtime(wanted: str) -> Found:
    """The container runtime: the one that is wanted, or with `auto` docker where it answers, else podman."""
    tools: Mapping[str, Callable[[], Found]] = {"docker": lambda: look(DOCKER), "podman": lambda: look(PODMAN)}
    if wanted in tools:
        return tools[wanted]()
    docker, podman = look(DOCKER), look(PODMAN)
    if docker.problem is None or (docker.program and podman.program is None):
        return docker
    return podman


def look_for_linux(*, glibc: tuple[int, int], pythons: tuple[str, ...]) -> list[Found]:
    """Whether this machine is what an engine's packages were built for."""
    family, version = platform.libc_ver()
    has = tuple(int(part) for part in version.split(".")[:2]) if family == "glibc" else (0, 0)
    wanted, python = ".".join(map(str, glibc)), "{}.{}".format(*sys.version_info[:2])
    libc = Found(tool="glibc", program=family or None, version=version)
    if sys.platform != "linux" or has < glibc:
        problem = (
            f"this engine needs Linux with glibc {wanted} or newer, and here is {family or 'another libc'} {version}"
        )
        libc = replace(libc, problem=problem, remedy="attach an engine that runs elsewhere, with kind `external`")
    right = Found(tool="python", program=sys.executable, version=platform.python_version())
    if python not in pythons:
        named = " or ".join(pythons)
        right = replace(
            right, problem=f"this engine needs Python {named}", remedy=f"run llama-orch with Python {named}"
        )
    return [libc, right]


def has_gpu(proc: Path = Path("/proc/driver/nvidia/gpus")) -> bool:
    """Whether NVIDIA's driver has a GPU here."""
    return proc.is_dir()


def _silent(tool: Tool, program: str, said: str) -> Found:
    """A runtime that is installed and does not answer."""
    last = (said.strip().splitlines() or ["no reason given"])[-1]
    remedy = f"start it, and let this user use it: systemctl start {tool.name}"
    return Found(tool=tool.name, program=program, problem=f"{tool.name} does not answer: {last[:300]}", remedy=remedy)


def _wanting(tool: Tool, problem: str) -> Found:
    of = distro.family()
    package = tool.packages.get(of) if of else None
    if of is None or package is None:
        return Found(tool=tool.name, problem=problem, remedy=tool.remedy)
    return Found(tool=tool.name, problem=problem, remedy=f"{' '.join(distro.INSTALL[of])} {package}", package=package)

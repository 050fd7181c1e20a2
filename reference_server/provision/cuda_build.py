"""Whether llama.cpp is built for CUDA here, with what flags, and why.

`auto` says yes where the compiler (`nvcc`) and the library that llama.cpp links (cuBLAS) are: a GPU is not needed to
build. Without one there is nothing to ask for its architecture and no driver to link, so both are said: code for any
card since Turing, and no virtual memory management, which alone needs the driver's library (`libcuda.so.1`). A program
that links it would not even start without a driver; one that does not runs on the CPU there.

Source: ORCH-3201, ORCH-3202, ORCH-3206, OC-CONFIG-6031.
"""

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from reference_server.provision import tools
from reference_server.provision.tools import Found

Wanted = Literal["auto", "on", "off"]

ON = "-DGGML_CUDA=ON"
ARCHITECTURES = "-DCMAKE_CUDA_ARCHITECTURES"
WITHOUT_GPU = (f"{ARCHITECTURES}=75-virtual;80-virtual", "-DGGML_CUDA_NO_VMM=ON")
TOP = re.compile(r"^#\$ TOP=(\S.*?)\s*$", re.MULTILINE)  # CMake finds the toolkit by the same line
LIBRARIES = ("lib64", "lib", "lib/x64", "targets/*/lib")  # of a toolkit
SYSTEM_LIBRARIES = ("/usr/lib", "/usr/lib64", "/usr/lib/*-linux-gnu", "/usr/local/lib")


@dataclass(frozen=True, slots=True)
class Choice:
    """What was decided.

    Attributes:
        flags: of CMake; empty = for the CPU alone.
        why: for people, and the same for equal hosts.
    """

    flags: tuple[str, ...]
    why: str


def choose(wanted: Wanted, flags: Sequence[str]) -> Choice:
    """For CUDA or not.

    Args:
        flags: of the operator; architectures that they name are left alone.
    """
    if wanted == "off":
        return Choice((), "CUDA: no, it is switched off (`cuda: off`)")
    if wanted == "auto" and (lacking := [one.problem for one in needs() if one.problem is not None]):
        return Choice((), f"CUDA: no, {lacking[0]}")
    reason = "it is asked for (`cuda: on`)" if wanted == "on" else "nvcc and cuBLAS are here"
    if tools.has_gpu():
        return Choice((ON,), f"CUDA: yes, {reason}, for the GPUs of this host")
    named = any(flag.startswith(ARCHITECTURES) for flag in flags)
    more = tuple(flag for flag in WITHOUT_GPU if not (named and flag.startswith(ARCHITECTURES)))
    cards = "the cards that `flags` name" if named else "any card since Turing"
    return Choice((ON, *more), f"CUDA: yes, {reason}; no GPU is here, so it is built for {cards}")


def needs() -> list[Found]:
    """The compiler, and the library beside it."""
    compiler = tools.look(tools.NVCC)
    return [compiler] if compiler.program is None else [compiler, _look_for_cublas(compiler.program)]


def _look_for_cublas(nvcc: str) -> Found:
    top = _toolkit_of(nvcc)
    folders = [*(found for part in LIBRARIES for found in _glob(top, part)), *_system_libraries()]
    here = next((path for folder in folders if (path := folder / "libcublas.so").exists()), None)
    if here is not None:
        return Found(tool="cuBLAS", program=str(here))
    return Found(
        tool="cuBLAS",
        problem=f"nvcc is here, and cuBLAS is not in its toolkit ({top or 'which it does not name'})",
        remedy="install the cuBLAS of that CUDA toolkit (libcublas-dev), or build with `cuda: off`",
    )


@cache
def _toolkit_of(nvcc: str) -> Path | None:
    """Where a compiler's toolkit is, which may be behind a wrapper; None where it does not tell."""
    try:
        asked = subprocess.run(
            [nvcc, "--dryrun", "-E", "-x", "cu", os.devnull],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=tools.ASK_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = TOP.search(asked.stderr)
    return Path(os.path.normpath(found[1])) if found else None


def _glob(top: Path | None, part: str) -> list[Path]:
    return sorted(top.glob(part)) if top is not None else []


def _system_libraries() -> list[Path]:
    return [found for part in SYSTEM_LIBRARIES for found in sorted(Path("/").glob(part.removeprefix("/")))]

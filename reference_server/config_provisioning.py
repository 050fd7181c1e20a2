"""How a pool's engine comes to this host: the five modes of `pools[].provisioning`.

    external    somebody else runs it            package    an environment of its own, from a lock with hashes
    source      built here, by CMake             container  an image by its digest, run by docker or podman
    binary      a file or an archive by its sha256

Source: ORCH-3201, OC-CONFIG-6020 … 6025.
"""

from typing import Annotated, Literal

import msgspec

Digest = Annotated[str, msgspec.Meta(pattern=r"^sha256:[0-9a-f]{64}$")]
Version = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$")]
WebAddress = Annotated[str, msgspec.Meta(pattern=r"^https?://[^/@\s]+/[^\s]+$", max_length=2048)]
GitAddress = Annotated[str, msgspec.Meta(pattern=r"^(https?://[^/@\s]+)?/[^\s]+$", max_length=2048)]
GitRef = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$")]
Commit = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{40}$")]
CMakeFlag = Annotated[str, msgspec.Meta(pattern=r"^-D[A-Za-z_][A-Za-z0-9_]*(:[A-Z]+)?=[^\r\n]*$", max_length=1024)]
Requirement = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9][A-Za-z0-9._+!-]*$")]
Image = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9.:/_-]*@sha256:[0-9a-f]{64}$", max_length=512)]
LockFile = Annotated[str, msgspec.Meta(pattern=r"^/", max_length=4096)]
InnerPath = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._+/-]*$", max_length=512)]


class ExternalMode(
    msgspec.Struct, tag="external", tag_field="mode", frozen=True, forbid_unknown_fields=True, kw_only=True
):
    """Somebody else runs the engine; nothing is brought.

    Attributes:
        version: that the engine has to report; another one does not become ready (OC-CONFIG-6021).
    """

    version: Version | None = None


class SourceMode(msgspec.Struct, tag="source", tag_field="mode", frozen=True, forbid_unknown_fields=True, kw_only=True):
    """llama.cpp, built here by CMake; without `archive` and `git` the source that this version of llama-orch pins.

    Attributes:
        archive: of the source, a tar; needs `digest` and `version`.
        digest: of the archive.
        git: a repository, `https://…` or an absolute path; needs `commit`.
        ref: a tag or branch that has to stand at `commit`; None = the commit is asked for by itself.
        commit: what is built.
        flags: added to those that every build here has, as `-DGGML_NATIVE=OFF`.
        generator: None = Ninja where it is there, else Unix Makefiles.
        cuda: auto = on where `nvcc` and cuBLAS are. True and False, as YAML reads a bare `on` and `off`, mean those.
        version: that the engine has to report; another one does not become ready (OC-CONFIG-6021).
    """

    archive: WebAddress | None = None
    digest: Digest | None = None
    git: GitAddress | None = None
    ref: GitRef | None = None
    commit: Commit | None = None
    flags: tuple[CMakeFlag, ...] = ()
    generator: Literal["Ninja", "Unix Makefiles"] | None = None
    cuda: Literal["auto", "on", "off"] | bool = "auto"
    version: Version | None = None


class PackageMode(
    msgspec.Struct, tag="package", tag_field="mode", frozen=True, forbid_unknown_fields=True, kw_only=True
):
    """vLLM or Triton from the package index, in an environment of its own.

    Attributes:
        package: with its exact version, `vllm==0.32.0`; None = the one that llama-orch pins, for the CPU.
        lock: a requirements file with hashes that holds the package and all it needs; needed for any other package.
        version: that the engine has to report; another one does not become ready (OC-CONFIG-6021).
    """

    package: Requirement | None = None
    lock: LockFile | None = None
    version: Version | None = None


class ContainerMode(
    msgspec.Struct, tag="container", tag_field="mode", frozen=True, forbid_unknown_fields=True, kw_only=True
):
    """An image, run by docker or podman; its port is published on loopback only.

    Attributes:
        image: by its digest, `ghcr.io/huggingface/text-generation-inference@sha256:…`.
        runtime: auto = docker where it answers, else podman.
        version: that the engine has to report; another one does not become ready (OC-CONFIG-6021).
    """

    image: Image
    runtime: Literal["auto", "docker", "podman"] = "auto"
    version: Version | None = None


class BinaryMode(msgspec.Struct, tag="binary", tag_field="mode", frozen=True, forbid_unknown_fields=True, kw_only=True):
    """llama-server as somebody has built it.

    Attributes:
        url: of the program, or of a tar or zip archive that holds it.
        sha256: that what the URL leads to has to have.
        executable: path of the program inside the archive; None = what the URL leads to is the program.
        version: that the engine has to report; another one does not become ready (OC-CONFIG-6021).
    """

    url: WebAddress
    sha256: Digest
    executable: InnerPath | None = None
    version: Version | None = None


Provisioning = ExternalMode | SourceMode | PackageMode | ContainerMode | BinaryMode

"""From the configuration to the recipe of a pool's engine, or to why there can be none.

Source: ORCH-3200, ORCH-3201, OC-CONFIG-6020, OC-CONFIG-6021.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from reference_server.config import Pool, SupervisedEngine
from reference_server.config_provisioning import (
    BinaryMode,
    ContainerMode,
    PackageMode,
    SourceMode,
)
from reference_server.config_rules import mode_of
from reference_server.provision import environment, llamacpp, triton, vllm
from reference_server.provision.binary import Prebuilt
from reference_server.provision.container import ImagePull
from reference_server.provision.environment import Environment
from reference_server.provision.errors import PreflightError
from reference_server.provision.provisioner import Recipe
from reference_server.provision.source import Archive, Git

SHIPPED: Final[Mapping[str, Callable[[], Recipe]]] = {
    "llamacpp": llamacpp.recipe,
    "vllm": vllm.recipe,
    "triton": triton.recipe,
}


def of(pool: Pool) -> Recipe | None:
    """What brings a pool's engine; None where somebody else does, or every replica names its `binary`.

    Raises:
        PreflightError: a version is pinned that this would not bring.
    """
    replicas = [replica for replica in pool.replicas if isinstance(replica, SupervisedEngine)]
    if not any(replica.binary is None for replica in replicas):
        return None
    match mode := mode_of(pool):
        case SourceMode():
            return _source(mode)
        case PackageMode():
            return _package(pool.engine, mode)
        case ContainerMode():
            version = mode.version or mode.image.rpartition(":")[2][:12]
            return ImagePull(engine=pool.engine, version=version, image=mode.image, runtime=mode.runtime)
        case BinaryMode():
            version = mode.version or mode.sha256.removeprefix("sha256:")[:12]
            return Prebuilt(version=version, url=mode.url, sha256=mode.sha256, executable=mode.executable)
        case _:
            return None


def _source(mode: SourceMode) -> Recipe:
    origin: Archive | Git | None = None
    if mode.archive is not None and mode.digest is not None:
        origin = Archive(mode.archive, mode.digest)
    elif mode.git is not None and mode.commit is not None:
        origin = Git(mode.git, mode.ref, mode.commit)
    elif mode.version not in {None, llamacpp.VERSION}:
        raise PreflightError(
            f"llama.cpp {mode.version} is pinned, and llama-orch comes with the source of {llamacpp.VERSION}: name "
            f"the `archive` and `digest`, or `git` and `commit`, of {mode.version}, or pin {llamacpp.VERSION}"
        )
    cuda = mode.cuda if isinstance(mode.cuda, str) else ("on" if mode.cuda else "off")
    return llamacpp.recipe(origin, version=mode.version, flags=mode.flags, generator=mode.generator, cuda=cuda)


def _package(engine: str, mode: PackageMode) -> Recipe:
    name, _, version = (mode.package or "").partition("==")
    if mode.lock is None or mode.package is None:
        made: Environment = vllm.recipe() if engine == "vllm" else triton.recipe()
    else:
        _require_held(Path(mode.lock), name, version)
        made = vllm.own(version, Path(mode.lock)) if engine == "vllm" else triton.recipe(version, Path(mode.lock))
    if mode.version not in {None, made.version} and mode.lock is None:
        raise PreflightError(
            f"{engine} {mode.version} is pinned, and the package that comes with llama-orch is {made.version}: name "
            f"`package` and `lock` of {mode.version}, or pin {made.version}"
        )
    return made


def _require_held(lock: Path, name: str, version: str) -> None:
    """The lock has to hold the package that is named, in that version. Raises `PreflightError`."""
    try:
        held = {(_normal(n), v) for n, v in environment.REQUIREMENT.findall(lock.read_text(encoding="utf-8"))}
    except (OSError, UnicodeDecodeError) as error:
        raise environment.unreadable(lock, error) from error
    if (_normal(name), version) not in held:
        raise PreflightError(f"{lock}: the lock does not hold {name}=={version}; make it anew for that version")


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()

"""How a pool's engine comes that does not say so, and what each field of a pool allows and together is wrong.

Source: OC-CONFIG-6004, OC-CONFIG-6008, OC-CONFIG-6020 … 6025.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from reference_server.config import EngineName, Pool, SupervisedEngine
from reference_server.config_provisioning import ContainerMode, ExternalMode, PackageMode, Provisioning, SourceMode

MODES: dict[EngineName, tuple[str, ...]] = {
    "llamacpp": ("external", "source", "container", "binary"),
    "vllm": ("external", "package", "container"),
    "tgi": ("external", "container"),
    "triton": ("external", "package", "container"),
}

DEFAULTS: Final[Mapping[str, Provisioning]] = {
    "llamacpp": SourceMode(),
    "vllm": PackageMode(),
    "triton": PackageMode(),
}
"""What a pool inherits that names no mode and has an engine that we start (OC-CONFIG-6020)."""


def mode_of(pool: Pool) -> Provisioning | None:
    """How a pool's engine comes to this host: as it says, else the documented default; None where there is none.

    Source: OC-CONFIG-6020.
    """
    if pool.provisioning is not None:
        return pool.provisioning
    if not any(isinstance(replica, SupervisedEngine) for replica in pool.replicas):
        return ExternalMode()
    return DEFAULTS.get(pool.engine)


def provisioning_wrong(pool: Pool) -> str | None:
    """What is wrong with a pool's provisioning; None where nothing is."""
    mode = mode_of(pool)
    if mode is None:
        return f"{pool.engine} has no default: give `provisioning: {{mode: container, image: name@sha256:…}}`"
    return _wrong_with_engine(pool, mode) or _wrong_in_itself(pool, mode)


def _wrong_with_engine(pool: Pool, mode: Provisioning) -> str | None:
    starts = any(isinstance(replica, SupervisedEngine) for replica in pool.replicas)
    tag = str(mode.__struct_config__.tag)
    if tag not in MODES[pool.engine]:
        return f"{pool.engine} does not come by `{tag}`; it comes by {', '.join(MODES[pool.engine])}"
    if starts and isinstance(mode, ExternalMode):
        return "mode `external` starts nothing: attach its replicas with kind `external`"
    if not starts and not isinstance(mode, ExternalMode):
        return f"mode `{tag}` brings an engine that nobody starts: its replicas are of kind `supervised`"
    return None


def _wrong_in_itself(pool: Pool, mode: Provisioning) -> str | None:
    replicas = [replica for replica in pool.replicas if isinstance(replica, SupervisedEngine)]
    match mode:
        case SourceMode():
            return _wrong_source(mode)
        case PackageMode():
            return _wrong_package(pool, mode)
        case ContainerMode() if any(replica.binary for replica in replicas):
            return "a replica that names its `binary` runs in no container"
    return None


def _wrong_source(mode: SourceMode) -> str | None:
    if mode.archive is not None and mode.git is not None:
        return "`archive` and `git` both name a source; one of them"
    if (mode.archive is None) != (mode.digest is None):
        return "`archive` and its `digest` come together"
    if (mode.git is None) != (mode.commit is None):
        return "`git` and the `commit` to build come together"
    return "`ref` is one of a `git` repository" if mode.ref is not None and mode.git is None else None


def _wrong_package(pool: Pool, mode: PackageMode) -> str | None:
    if (mode.package is None) != (mode.lock is None):
        return "`package` and the `lock` that holds it with hashes come together"
    uses_gpu = any(isinstance(replica, SupervisedEngine) and replica.devices for replica in pool.replicas)
    if mode.package is None and uses_gpu:
        return f"the {pool.engine} that llama-orch pins is built for the CPU: give `package` and `lock`, or an image"
    return None


def canary_wrong(pool: Pool, pools: Iterable[Pool]) -> str | None:
    """What is wrong with the pool that another one names as its canary; None where nothing is (OC-CONFIG-6008)."""
    if pool.canary is None:
        return None
    others = {other.id: other for other in pools if other.id != pool.id}
    canary = others.get(pool.canary.pool)
    if canary is None:
        return f"{pool.canary.pool} is no other pool of this file; there are {', '.join(sorted(others)) or 'none'}"
    if canary.engine != pool.engine:
        return f"pool {canary.id} has the engine {canary.engine}; a canary has that of its pool, {pool.engine}"
    return f"pool {canary.id} has a canary of its own; only one of the two" if canary.canary is not None else None

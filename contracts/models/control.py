"""Generated from contracts/openapi/control.yaml by `python -m tools gen`. Do not edit."""

from typing import Annotated, Any, Literal

import msgspec

API_VERSION = "1.0.0"


class RateLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Of one API token; empty where it has none."""

    tasks_per_s: Annotated[float, msgspec.Meta(gt=0)] | msgspec.UnsetType = msgspec.UNSET
    burst: Annotated[int, msgspec.Meta(ge=1)] | msgspec.UnsetType = msgspec.UNSET
    open_tasks_max: Annotated[int, msgspec.Meta(ge=1)] | msgspec.UnsetType = msgspec.UNSET


class EngineCapability(msgspec.Struct, frozen=True, kw_only=True):
    """One pool's engine. `pool_id` and `model_ref` are additive and say what to ask for."""

    engine: Literal["llamacpp", "vllm", "tgi", "triton"]
    engine_version: str
    ctx_max: Annotated[int, msgspec.Meta(ge=0)]
    supported_workloads: tuple[Literal["completion", "embedding", "rerank"], ...]
    declared_concurrency: Annotated[int, msgspec.Meta(ge=0)]
    rate_limits: RateLimits
    features: dict[str, Any]
    pool_id: str | msgspec.UnsetType = msgspec.UNSET
    model_ref: str | msgspec.UnsetType = msgspec.UNSET
    trtllm_version: str | msgspec.UnsetType = msgspec.UNSET


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """`Capabilities` of the contract."""

    api_version: Annotated[str, msgspec.Meta(min_length=1)]
    engines: tuple[EngineCapability, ...]


class PoolCanary(msgspec.Struct, frozen=True, kw_only=True):
    """The pool that tries a new version on a part of the tasks of this one. Draining it is the roll-back."""

    pool_id: str
    share: Annotated[float, msgspec.Meta(ge=0, le=1)]
    label: str | msgspec.UnsetType = msgspec.UNSET
    ready: bool


class PoolOperation(msgspec.Struct, frozen=True, kw_only=True):
    """The drain or the reload of a pool that goes on, or the last one that ended."""

    kind: Literal["drain", "reload"]
    phase: Literal["draining", "drained", "loading", "rolling-back", "done", "rolled-back"]
    elapsed_ms: Annotated[int, msgspec.Meta(ge=0)]
    tasks_waiting: Annotated[int, msgspec.Meta(ge=0)]
    tasks_running: Annotated[int, msgspec.Meta(ge=0)]
    new_model_ref: str | msgspec.UnsetType = msgspec.UNSET
    deadline_ms_remaining: Annotated[int, msgspec.Meta(ge=0)] | msgspec.UnsetType = msgspec.UNSET
    error: str | msgspec.UnsetType = msgspec.UNSET


class PoolHealth(msgspec.Struct, frozen=True, kw_only=True):
    """`PoolHealth` of the contract."""

    live: bool
    ready: bool
    draining: bool
    metrics: dict[str, Any]
    last_error: str | msgspec.UnsetType = msgspec.UNSET
    shedding: bool | msgspec.UnsetType = msgspec.UNSET
    experimental_cpu: bool | msgspec.UnsetType = msgspec.UNSET
    canary: PoolCanary | msgspec.UnsetType = msgspec.UNSET
    operation: PoolOperation | msgspec.UnsetType = msgspec.UNSET


class QueueStatus(msgspec.Struct, frozen=True, kw_only=True):
    """`QueueStatus` of the contract."""

    priority: Literal["interactive", "batch"]
    depth: Annotated[int, msgspec.Meta(ge=0)]
    capacity: Annotated[int, msgspec.Meta(ge=0)]


class ReplicaStatus(msgspec.Struct, frozen=True, kw_only=True):
    """`ReplicaStatus` of the contract."""

    id: str
    state: Literal["loading", "ready", "tripped", "unready"]
    slots_total: Annotated[int, msgspec.Meta(ge=0)]
    slots_active: Annotated[int, msgspec.Meta(ge=0)]
    slots_quarantined: Annotated[int, msgspec.Meta(ge=0)]
    last_error: str | msgspec.UnsetType = msgspec.UNSET


class PoolStatus(msgspec.Struct, frozen=True, kw_only=True):
    """`PoolStatus` of the contract."""

    id: str
    engine: Literal["llamacpp", "vllm", "tgi", "triton"]
    engine_version: str
    model_ref: str
    live: bool
    ready: bool
    draining: bool
    experimental_cpu: bool | msgspec.UnsetType = msgspec.UNSET
    shedding: bool | msgspec.UnsetType = msgspec.UNSET
    queue_full_policy: Literal["reject", "drop-lru", "shed-low-priority"]
    queues: tuple[QueueStatus, ...]
    replicas: tuple[ReplicaStatus, ...]
    last_error: str | msgspec.UnsetType = msgspec.UNSET
    operation: PoolOperation | msgspec.UnsetType = msgspec.UNSET


class RunningTask(msgspec.Struct, frozen=True, kw_only=True):
    """`RunningTask` of the contract."""

    task_id: Annotated[str, msgspec.Meta(pattern='^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\\Z')]
    priority: Literal["interactive", "batch"]
    pool_id: str
    replica_id: str
    running_ms: Annotated[int, msgspec.Meta(ge=0)]
    tokens_out: Annotated[int, msgspec.Meta(ge=0)]


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """`Status` of the contract."""

    api_version: Annotated[str, msgspec.Meta(min_length=1)]
    uptime_ms: Annotated[int, msgspec.Meta(ge=0)]
    pools: tuple[PoolStatus, ...]
    tasks: Annotated[tuple[RunningTask, ...], msgspec.Meta(max_length=100)]
    tasks_omitted: Annotated[int, msgspec.Meta(ge=0)]


class DrainRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`DrainRequest` of the contract."""

    deadline_ms: Annotated[int, msgspec.Meta(ge=0, le=9223372036854775807)]


class ReloadRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`ReloadRequest` of the contract."""

    new_model_ref: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]


Digest = Annotated[str, msgspec.Meta(pattern='^sha256:[0-9a-f]{64}\\Z')]


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`Manifest` of the contract."""

    digest: Digest
    size_bytes: Annotated[int, msgspec.Meta(ge=0, le=9223372036854775807)]


class Signature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`Signature` of the contract."""

    signer: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    algo: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    verified: bool
    timestamp_ms: Annotated[int, msgspec.Meta(ge=0, le=9223372036854775807)]


class Sbom(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`Sbom` of the contract."""

    uri: Annotated[str, msgspec.Meta(min_length=1, max_length=2048)]
    digest: Digest


class TrustPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`TrustPolicy` of the contract."""

    mode: Literal["strict", "permissive"]
    allowed_registries: Annotated[tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=256)], ...], msgspec.Meta(max_length=256)] | msgspec.UnsetType = msgspec.UNSET
    require_signature: bool | msgspec.UnsetType = msgspec.UNSET
    require_sbom: bool | msgspec.UnsetType = msgspec.UNSET
    ca_roots: Annotated[tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=16384)], ...], msgspec.Meta(max_length=64)] | msgspec.UnsetType = msgspec.UNSET


class CatalogModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`CatalogModel` of the contract."""

    id: Annotated[str, msgspec.Meta(pattern='^[A-Za-z0-9][A-Za-z0-9._-]{0,127}\\Z')]
    digest: Digest
    source_url: Annotated[str, msgspec.Meta(min_length=1, max_length=2048)] | msgspec.UnsetType = msgspec.UNSET
    tags: Annotated[tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=128)], ...], msgspec.Meta(max_length=64)] | msgspec.UnsetType = msgspec.UNSET
    manifests: Annotated[tuple[Manifest, ...], msgspec.Meta(max_length=1024)] | msgspec.UnsetType = msgspec.UNSET
    signatures: Annotated[tuple[Signature, ...], msgspec.Meta(max_length=64)] | msgspec.UnsetType = msgspec.UNSET
    sbom: Sbom | msgspec.UnsetType = msgspec.UNSET
    trust_policy: TrustPolicy | msgspec.UnsetType = msgspec.UNSET


class CatalogState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`CatalogState` of the contract."""

    state: Literal["Active", "Retired"]
    deadline_ms: Annotated[int, msgspec.Meta(ge=0, le=9223372036854775807)] | msgspec.UnsetType = msgspec.UNSET


class VerifyStatus(msgspec.Struct, frozen=True, kw_only=True):
    """`VerifyStatus` of the contract."""

    status: Literal["pending", "verified", "warned", "failed"]
    warnings: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET


class ArtifactRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`ArtifactRequest` of the contract."""

    kind: Literal["plan", "summary", "diff", "trace", "other"]
    content: str
    tags: Annotated[tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=128)], ...], msgspec.Meta(max_length=64)] | msgspec.UnsetType = msgspec.UNSET
    parent: Digest | msgspec.UnsetType = msgspec.UNSET
    metadata: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """`Artifact` of the contract."""

    id: Digest
    kind: Literal["plan", "summary", "diff", "trace", "other"]
    digest: Digest
    created_ms: Annotated[int, msgspec.Meta(ge=0)]
    tags: tuple[str, ...]
    content: str | msgspec.UnsetType = msgspec.UNSET
    parent: Digest | msgspec.UnsetType = msgspec.UNSET
    metadata: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class Liveness(msgspec.Struct, frozen=True, kw_only=True):
    """`Liveness` of the contract."""

    status: Literal["ok"]


__all__ = [
    "API_VERSION",
    "Artifact",
    "ArtifactRequest",
    "Capabilities",
    "CatalogModel",
    "CatalogState",
    "Digest",
    "DrainRequest",
    "EngineCapability",
    "Liveness",
    "Manifest",
    "PoolCanary",
    "PoolHealth",
    "PoolOperation",
    "PoolStatus",
    "QueueStatus",
    "RateLimits",
    "ReloadRequest",
    "ReplicaStatus",
    "RunningTask",
    "Sbom",
    "Signature",
    "Status",
    "TrustPolicy",
    "VerifyStatus",
]

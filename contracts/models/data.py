"""Generated from contracts/openapi/data.yaml by `python -m tools gen`. Do not edit."""

from typing import Annotated, Literal

import msgspec

API_VERSION = "1.0.0"


class Task(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a client wants done."""

    task_id: Annotated[str, msgspec.Meta(pattern='^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\\Z')]
    session_id: Annotated[str, msgspec.Meta(pattern='^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\\Z')]
    workload: Literal["completion", "embedding", "rerank"]
    model_ref: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
    engine: Literal["llamacpp", "vllm", "tgi", "triton"]
    ctx: Annotated[int, msgspec.Meta(ge=1, le=2147483647)]
    priority: Literal["interactive", "batch"]
    max_tokens: Annotated[int, msgspec.Meta(ge=1, le=2147483647)]
    deadline_ms: Annotated[int, msgspec.Meta(ge=1, le=9223372036854775807)]
    seed: Annotated[int, msgspec.Meta(ge=-9223372036854775808, le=9223372036854775807)] | msgspec.UnsetType = msgspec.UNSET
    determinism: Literal["strict", "best_effort"] | msgspec.UnsetType = msgspec.UNSET
    sampler_profile_version: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | msgspec.UnsetType = msgspec.UNSET
    prompt: Annotated[str, msgspec.Meta(min_length=1)] | msgspec.UnsetType = msgspec.UNSET
    inputs: Annotated[tuple[Annotated[str, msgspec.Meta(min_length=1)], ...], msgspec.Meta(min_length=1, max_length=1024)] | msgspec.UnsetType = msgspec.UNSET
    expected_tokens: Annotated[int, msgspec.Meta(ge=1, le=2147483647)] | msgspec.UnsetType = msgspec.UNSET
    kv_hint: Literal["reuse", "cold"] | msgspec.UnsetType = msgspec.UNSET
    on_disconnect: Literal["continue", "cancel"] | msgspec.UnsetType = msgspec.UNSET
    label: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | msgspec.UnsetType = msgspec.UNSET


class AdmissionResponse(msgspec.Struct, frozen=True, kw_only=True):
    """`AdmissionResponse` of the contract."""

    task_id: Annotated[str, msgspec.Meta(pattern='^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\\Z')]
    queue_position: Annotated[int, msgspec.Meta(ge=0)]
    predicted_start_ms: Annotated[int, msgspec.Meta(ge=0)]
    backoff_ms: Annotated[int, msgspec.Meta(ge=0)]


ErrorCode = Literal["INVALID_PARAMS", "DEADLINE_UNMET", "UNTRUSTED_ARTIFACT", "UNAUTHENTICATED", "FORBIDDEN", "NOT_FOUND", "METHOD_NOT_ALLOWED", "REQUEST_TIMEOUT", "CONFLICT", "MODEL_DEPRECATED", "PAYLOAD_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE", "ADMISSION_REJECT", "QUEUE_FULL_DROP_LRU", "CANCELED", "INTERNAL", "WORKER_RESET", "POOL_UNREADY", "POOL_UNAVAILABLE", "REPLICA_EXHAUSTED", "DECODE_TIMEOUT"]


class ErrorFrame(msgspec.Struct, frozen=True, kw_only=True):
    """`ErrorFrame` of the contract."""

    code: ErrorCode
    message: Annotated[str, msgspec.Meta(min_length=1)]
    engine: str | msgspec.UnsetType = msgspec.UNSET
    retriable: bool | msgspec.UnsetType = msgspec.UNSET
    retry_after_ms: Annotated[int, msgspec.Meta(ge=1)] | msgspec.UnsetType = msgspec.UNSET


class TaskStatus(msgspec.Struct, frozen=True, kw_only=True):
    """`TaskStatus` of the contract."""

    task_id: Annotated[str, msgspec.Meta(pattern='^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\\Z')]
    state: Literal["queued", "running", "ended", "failed", "canceled"]
    queue_position: Annotated[int, msgspec.Meta(ge=0)] | msgspec.UnsetType = msgspec.UNSET
    predicted_start_ms: Annotated[int, msgspec.Meta(ge=0)] | msgspec.UnsetType = msgspec.UNSET
    tokens_out: Annotated[int, msgspec.Meta(ge=0)]
    error: ErrorFrame | msgspec.UnsetType = msgspec.UNSET
    trace: Annotated[str, msgspec.Meta(pattern='^sha256:[0-9a-f]{64}\\Z')] | msgspec.UnsetType = msgspec.UNSET


class SessionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """`SessionInfo` of the contract."""

    ttl_ms_remaining: Annotated[int, msgspec.Meta(ge=0, le=600000)]
    turns: Annotated[int, msgspec.Meta(ge=0)]
    kv_bytes: Annotated[int, msgspec.Meta(ge=0)]
    kv_warmth: bool
    tokens_budget_remaining: Annotated[int, msgspec.Meta(ge=0)] | msgspec.UnsetType = msgspec.UNSET
    time_budget_remaining_ms: Annotated[int, msgspec.Meta(ge=0)] | msgspec.UnsetType = msgspec.UNSET
    cost_budget_remaining: Annotated[float, msgspec.Meta(ge=0)] | msgspec.UnsetType = msgspec.UNSET


class StartedFrame(msgspec.Struct, frozen=True, kw_only=True):
    """`StartedFrame` of the contract."""

    queue_position: Annotated[int, msgspec.Meta(ge=0)]
    predicted_start_ms: Annotated[int, msgspec.Meta(ge=0)]
    engine: Literal["llamacpp", "vllm", "tgi", "triton"] | msgspec.UnsetType = msgspec.UNSET
    engine_version: str | msgspec.UnsetType = msgspec.UNSET
    pool_id: str | msgspec.UnsetType = msgspec.UNSET
    replica_id: str | msgspec.UnsetType = msgspec.UNSET
    model_digest: str | msgspec.UnsetType = msgspec.UNSET
    sampler_profile_version: str | msgspec.UnsetType = msgspec.UNSET
    seed: Annotated[int, msgspec.Meta(ge=0)] | msgspec.UnsetType = msgspec.UNSET
    kv_warmth: bool | msgspec.UnsetType = msgspec.UNSET
    kv_migrated: bool | msgspec.UnsetType = msgspec.UNSET


class TokenFrame(msgspec.Struct, frozen=True, kw_only=True):
    """`TokenFrame` of the contract."""

    t: str
    i: Annotated[int, msgspec.Meta(ge=0)]


class ResultFrame(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of an embedding (`embeddings`) or of a rerank (`scores`); the other one is absent."""

    embeddings: Annotated[tuple[Annotated[tuple[float, ...], msgspec.Meta(min_length=1)], ...], msgspec.Meta(min_length=1)] | msgspec.UnsetType = msgspec.UNSET
    scores: Annotated[tuple[float, ...], msgspec.Meta(min_length=1)] | msgspec.UnsetType = msgspec.UNSET


class MetricsFrame(msgspec.Struct, frozen=True, kw_only=True):
    """`MetricsFrame` of the contract."""

    queue_depth: Annotated[int, msgspec.Meta(ge=0)] | msgspec.UnsetType = msgspec.UNSET
    on_time_probability: Annotated[float, msgspec.Meta(ge=0, le=1)] | msgspec.UnsetType = msgspec.UNSET
    kv_warmth: bool | msgspec.UnsetType = msgspec.UNSET
    tokens_in: Annotated[int, msgspec.Meta(ge=0)] | msgspec.UnsetType = msgspec.UNSET
    tokens_out: Annotated[int, msgspec.Meta(ge=0)] | msgspec.UnsetType = msgspec.UNSET
    tokens_budget_remaining: Annotated[int, msgspec.Meta(ge=0)] | msgspec.UnsetType = msgspec.UNSET
    time_budget_remaining_ms: Annotated[int, msgspec.Meta(ge=0)] | msgspec.UnsetType = msgspec.UNSET
    cost_budget_remaining: Annotated[float, msgspec.Meta(ge=0)] | msgspec.UnsetType = msgspec.UNSET
    replica_id: str | msgspec.UnsetType = msgspec.UNSET
    kv_migrated: bool | msgspec.UnsetType = msgspec.UNSET


class EndFrame(msgspec.Struct, frozen=True, kw_only=True):
    """`EndFrame` of the contract."""

    tokens_out: Annotated[int, msgspec.Meta(ge=0)]
    decode_ms: Annotated[int, msgspec.Meta(ge=0)]
    finish_reason: Literal["stop", "length"] | msgspec.UnsetType = msgspec.UNSET
    tokens_in: Annotated[int, msgspec.Meta(ge=0)] | msgspec.UnsetType = msgspec.UNSET


class ErrorEnvelope(msgspec.Struct, frozen=True, kw_only=True):
    """`ErrorEnvelope` of the contract."""

    code: ErrorCode
    message: Annotated[str, msgspec.Meta(min_length=1)]
    engine: str | msgspec.UnsetType = msgspec.UNSET
    pool_id: str | msgspec.UnsetType = msgspec.UNSET
    retriable: bool | msgspec.UnsetType = msgspec.UNSET
    retry_after_ms: Annotated[int, msgspec.Meta(ge=1)] | msgspec.UnsetType = msgspec.UNSET
    policy_label: str | msgspec.UnsetType = msgspec.UNSET


class BackpressureEnvelope(msgspec.Struct, frozen=True, kw_only=True):
    """The envelope of a 429, where the advice is not optional."""

    code: Literal["ADMISSION_REJECT", "QUEUE_FULL_DROP_LRU"]
    message: Annotated[str, msgspec.Meta(min_length=1)]
    engine: str | msgspec.UnsetType = msgspec.UNSET
    pool_id: str | msgspec.UnsetType = msgspec.UNSET
    retriable: bool
    retry_after_ms: Annotated[int, msgspec.Meta(ge=1)]
    policy_label: Annotated[str, msgspec.Meta(min_length=1)]


__all__ = [
    "API_VERSION",
    "AdmissionResponse",
    "BackpressureEnvelope",
    "EndFrame",
    "ErrorCode",
    "ErrorEnvelope",
    "ErrorFrame",
    "MetricsFrame",
    "ResultFrame",
    "SessionInfo",
    "StartedFrame",
    "Task",
    "TaskStatus",
    "TokenFrame",
]

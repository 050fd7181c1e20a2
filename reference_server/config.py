"""The configuration: its shape and its defaults.

One YAML file (`config_file`). Every field has a default, so that no file at all serves one pool `default` on the
embedded mock. The structs are the schema: `contracts/config/schema.json` is generated from them.

Source: ORCH-3030, OC-CONFIG-6002, OC-CONFIG-6003.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

from reference_server.config_provisioning import Provisioning

HostName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9.:_\[\]-]{1,253}$")]
HostPattern = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9.:_*/\[\]-]{1,253}$")]
MimePattern = Annotated[str, msgspec.Meta(pattern=r"^(\*|[A-Za-z0-9!#$&^_.+-]{1,64})/(\*|[A-Za-z0-9!#$&^_.+-]{1,64})$")]
FolderPath = Annotated[str, msgspec.Meta(pattern=r"^/", max_length=4096)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
NonNegative = Annotated[int, msgspec.Meta(ge=0)]
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
EngineName = Literal["llamacpp", "vllm", "tgi", "triton"]
Workload = Literal["completion", "embedding", "rerank"]


class ConfigError(Exception):
    """The file cannot be used; the text names the file, the field and what would be right."""


class MockEngine(msgspec.Struct, tag="mock", tag_field="kind", frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The embedded stand-in: deterministic text, paced, in this process. Says so wherever it is described.

    Attributes:
        token_ms: pause between tokens, milliseconds.
        prompt_ms: pause before the first token.
        workloads: what it offers; vectors and scores follow from hashes of the texts.
        preload_ms: how long it is `loading` after start.
        prefix_cache_tokens: what it tells that its prefix caches hold; None = it does not tell.
        die_after_tokens, stall_after_tokens: fault injection; the stream is lost or stands still after so many tokens.
        fail_after_tokens: the engine answers a task, not its self-test or a probe, with an error of its own.
        defect_after_tokens: its adapter has a defect.
        busy_requests, refused_requests: it has no room for the first so many tasks, or refuses them as wrong.
    """

    slots: Positive = 4
    ctx_max: Positive = 4096
    token_ms: Annotated[float, msgspec.Meta(ge=0)] = 2.0
    prompt_ms: Annotated[float, msgspec.Meta(ge=0)] = 2.0
    preload_ms: NonNegative = 0
    prefix_cache_tokens: NonNegative | None = None
    workloads: Annotated[tuple[Workload, ...], msgspec.Meta(min_length=1)] = ("completion", "embedding", "rerank")
    die_after_tokens: NonNegative | None = None
    stall_after_tokens: NonNegative | None = None
    fail_after_tokens: NonNegative | None = None
    defect_after_tokens: NonNegative | None = None
    busy_requests: NonNegative = 0
    refused_requests: NonNegative = 0


class ExternalEngine(
    msgspec.Struct, tag="external", tag_field="kind", frozen=True, forbid_unknown_fields=True, kw_only=True
):
    """An engine that somebody else runs.

    Attributes:
        url: `http://host:port`, no path.
        api_key_env: name of the environment variable that holds the engine's key.
        model_file: local path of the weights, to take their digest from; None where it is not on this host.
        model_name: vLLM's and Triton's own name of the model; None = the first that vLLM lists, Triton's `ensemble`.
        slots: sequences at a time; None = what the engine tells, and 1 for vLLM and Triton, which do not.
        ctx: tokens per slot, for Triton, which does not tell.
        metrics_url: of Triton's metrics service; None = no metrics of that engine.
        trtllm_version: of TensorRT-LLM behind Triton, which does not tell.
    """

    url: Annotated[str, msgspec.Meta(pattern=r"^https?://[^/]+/?$")]
    api_key_env: str | None = None
    model_file: str | None = None
    model_name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,255}$")] | None = None
    slots: Positive | None = None
    ctx: Positive = 2048
    metrics_url: Annotated[str, msgspec.Meta(pattern=r"^https?://[^/]+/?$")] | None = None
    trtllm_version: str | None = None


class SupervisedEngine(
    msgspec.Struct, tag="supervised", tag_field="kind", frozen=True, forbid_unknown_fields=True, kw_only=True
):
    """An engine process that we start, watch and stop.

    Attributes:
        model_file: path of the weights, of a folder with them (vLLM, TGI), or of Triton's model repository; None = the
            pool's `model`, or the one that `llama-orch engines install` put into the cache.
        binary: path of llama-server; None = the one that the pool's `provisioning` brings.
        ctx: tokens per slot.
        threads: of one decode; None leaves it to the engine. On a busy machine fewer are faster.
        devices: the GPUs it sees, and no others (ORCH-3011); empty = none, it decodes on the CPU. The process keeps to
            the CPUs near them, where the host names those (ORCH-3013).
        tensor_split: each device's share of the model, for two devices or more (ORCH-3052).
        memory_bytes: what it needs of VRAM, or of host memory without devices; None = the weights and a tenth.
        args: further command-line arguments, passed as they are.
        start_timeout_ms: not ready by then counts as a failed preload.
    """

    model_file: str | None = None
    binary: str | None = None
    slots: Positive = 1
    ctx: Positive = 2048
    threads: Positive | None = None
    devices: tuple[NonNegative, ...] = ()
    tensor_split: tuple[float, ...] = ()
    memory_bytes: Positive | None = None
    args: tuple[str, ...] = ()
    start_timeout_ms: Positive = 120_000


class Queue(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Bounds of a pool's two lanes, and what happens when one is full (ORCH-3004, ORCH-3005).

    Attributes:
        capacity_total: both lanes together; None = their sum.
    """

    capacity_interactive: Positive = 64
    capacity_batch: Positive = 64
    capacity_total: Positive | None = None
    full_policy: Literal["reject", "drop-lru", "shed-low-priority"] = "reject"


class Watchdog(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Limits of a running task, milliseconds (ORCH-3016).

    Attributes:
        wall_ms: from start to end.
        idle_ms: without a token.
        stop_ms: how long an engine may take to confirm a stop before its slot is quarantined.
    """

    wall_ms: Positive = 600_000
    idle_ms: Positive = 60_000
    stop_ms: Positive = 2_000


class Prices(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a pool costs for 1,000 tokens of prompt and of answer."""

    in_per_1k: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    out_per_1k: Annotated[float, msgspec.Meta(ge=0)] = 0.0


class ServiceLevel(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How long interactive tasks of a pool may wait; while it stays missed, new batch tasks are refused (ORCH-3040).

    Attributes:
        queue_ms: from admission to dispatch; None = no objective, and nothing is refused for it.
        percent: of the interactive tasks of the last `window_ms`, so many have to wait no longer.
        tasks_min: of fewer tasks than that it is not missed yet.
    """

    queue_ms: Positive | None = None
    percent: Annotated[int, msgspec.Meta(ge=1, le=100)] = 90
    window_ms: Annotated[int, msgspec.Meta(ge=1, le=600_000)] = 30_000
    tasks_min: Positive = 5


class ModelSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where a pool's model comes from (ORCH-3090, OC-CONFIG-6026).

    Attributes:
        source: `hf:org/repo/path.gguf`, `hf:org/repo` (its only GGUF file; where it has none, all that an engine needs
            of its safetensors), either with `@revision`, `https://…`, `s3://bucket/key`, `oci://host/name:tag` or
            `pypi:project/file.whl#member`; None = the catalog's source, or the pool's own `model_ref`.
        digest: of the file, or of all files of a repository (see `llama-orch models fetch --help`); None = the
            catalog's, or as its source vouches, which a web server and S3 do not.
    """

    source: Annotated[str, msgspec.Meta(min_length=1, max_length=2048)] | None = None
    digest: Annotated[str, msgspec.Meta(pattern=r"^sha256:[0-9a-f]{64}$")] | None = None


class Canary(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where a new version is tried on a part of a pool's tasks (ORCH-3033).

    Attributes:
        pool: the one with the new version; draining it, or taking this setting out, is the roll-back.
        share: of the sessions, 0 … 1.
        label: tasks that carry it are tried there, whatever their session.
    """

    pool: Name
    share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    label: Name | None = None


class Pool(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One pool: replicas of one engine with one model (ORCH-3007).

    Attributes:
        engine: the name clients ask for.
        model_ref: the model clients ask for.
        model: where it comes from, when engines that we start have to have it.
        provisioning: how the engine comes to this host. None = `external` where no replica is `supervised`; else what
            this version of llama-orch pins: `source` for llama.cpp, `package` for vLLM and Triton (OC-CONFIG-6020).
        replicas: one engine each.
        sampler_profile_version: what requests may pin (ORCH-3046).
        reload_drain_ms: how long what waits and runs may take to finish before a reload ends it (ORCH-3031).
        canary: another pool of the same engine, for a part of the tasks.
    """

    id: Name = "default"
    engine: EngineName = "llamacpp"
    model_ref: str = "default"
    model: ModelSource = ModelSource()
    provisioning: Provisioning | None = None
    replicas: Annotated[tuple[MockEngine | ExternalEngine | SupervisedEngine, ...], msgspec.Meta(min_length=1)] = (
        MockEngine(),
    )
    queue: Queue = Queue()
    watchdog: Watchdog = Watchdog()
    sampler_profile_version: str = "v1"
    reload_drain_ms: NonNegative = 30_000
    prices: Prices = Prices()
    service_level: ServiceLevel = ServiceLevel()
    canary: Canary | None = None


class Budget(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What each session may use in its life; None = unlimited (ORCH-3099).

    Attributes:
        tokens: prompts and answers together.
        time_ms: of decoding.
        cost: in the unit of the pools' prices.
    """

    tokens: Positive | None = None
    time_ms: Positive | None = None
    cost: Annotated[float, msgspec.Meta(gt=0)] | None = None


class TokenLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the API token may ask for; None = unlimited (ORCH-3006, ORCH-3036).

    Attributes:
        tasks_per_s: admissions a second in the long run.
        burst: admissions at once after a pause.
        open_tasks_max: admitted and not ended.
    """

    tasks_per_s: Annotated[float, msgspec.Meta(gt=0)] | None = None
    burst: Positive = 10
    open_tasks_max: Positive | None = None


class Sessions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Short-lived sessions (ORCH-3021)."""

    ttl_ms: Annotated[int, msgspec.Meta(ge=1, le=600_000)] = 600_000
    turns_max: Positive = 8
    sessions_max: Positive = 10_000
    budget: Budget = Budget()


class Retention(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How long, and how much of, what has ended is kept for late readers.

    Attributes:
        ttl_ms: after its end a task's transcript replays for so long.
        tasks_max, bytes_max: the oldest ended tasks go first when either is reached.
    """

    ttl_ms: Positive = 600_000
    tasks_max: Positive = 10_000
    bytes_max: Positive = 256 * 1024 * 1024


class Http(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Limits of the HTTP edge.

    Attributes:
        keep_alive_ms: a comment line goes out on a stream that has been silent for so long.
        idle_ms: a connection without a whole request head for so long is closed.
        body_ms: a body that is not whole by then is refused.
        slow_reader_ms: a reader that takes nothing for so long is dropped.
        drain_ms: how long running tasks may finish after SIGTERM.
        allowed_hosts: names under which the server may be called, beside its own and loopback; see `web/hosts.py`.
        metrics_open, liveness_open: reachable without the token.
    """

    body_bytes_max: Positive = 2 * 1024 * 1024
    keep_alive_ms: Positive = 15_000
    idle_ms: Positive = 75_000
    body_ms: Positive = 30_000
    slow_reader_ms: Positive = 30_000
    readers_per_task_max: Positive = 64
    drain_ms: NonNegative = 5_000
    allowed_hosts: tuple[HostName, ...] = ()
    metrics_open: bool = False
    liveness_open: bool = True


class PluginFetch(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a plugin may have fetched for it, within `outbound` (OC-POLICY-4030 … 4036).

    Attributes:
        allow: domains, as the patterns of `outbound`; empty = nothing is fetched.
        deny: domains that `allow` names and that are not fetched from all the same.
        mime_allow: MIME types of answers, as `type/subtype`, `type/*` or `*/*`.
        mime_deny: MIME types that `mime_allow` names and that are not taken all the same.
        body_bytes_max: of one answer; a longer one is refused.
        timeout_ms: of one whole fetch; the task waits for so long.
        per_minute: fetches in the long run.
        burst: fetches at once after a pause.
        redact: RE2 patterns; what they match is blotted out of answers, beside what looks like a key or a password.
    """

    allow: tuple[HostPattern, ...] = ()
    deny: tuple[HostPattern, ...] = ()
    mime_allow: tuple[MimePattern, ...] = ("application/json", "text/plain")
    mime_deny: tuple[MimePattern, ...] = ()
    body_bytes_max: Annotated[int, msgspec.Meta(ge=1, le=32 * 1024)] = 16 * 1024
    timeout_ms: Annotated[int, msgspec.Meta(ge=1, le=30_000)] = 2_000
    per_minute: Annotated[float, msgspec.Meta(gt=0)] = 60.0
    burst: Positive = 10
    redact: tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=1000)], ...] = ()


class Plugin(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A policy plugin: a WebAssembly module that is asked before something happens (`policy/hooks.py`).

    Attributes:
        id: its name in logs and refusals.
        file: the module.
        hooks: where it is asked.
        fuel, memory_bytes, wall_ms: what one call may use; a call that wants more has failed.
        fetch: what it may have fetched for it.
    """

    id: Name
    file: FolderPath
    hooks: Annotated[tuple[Literal["admission", "placement", "outbound"], ...], msgspec.Meta(min_length=1)]
    fuel: Positive = 10_000_000
    memory_bytes: Positive = 16 * 1024 * 1024
    wall_ms: Positive = 200
    fetch: PluginFetch = PluginFetch()


class Artifacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Stored texts.

    Attributes:
        artifacts_max: above it the oldest go.
        traces: the transcript of every ended task becomes an artifact of kind `trace`; its id is in the task's status.
    """

    artifacts_max: Positive = 10_000
    traces: bool = False


class Outbound(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What may leave this host, other than to a configured engine (ORCH-3080, OC-CONFIG-6030).

    Patterns are a `host`, `*.host`, `host:port`, `*`, or a network as in `10.0.0.0/8`.

    Attributes:
        enabled: false = nothing goes out (ORCH-3205); LLAMA_ORCH_OFFLINE=1 in the environment says the same.
        mode: strict = only what `allow` names goes out.
        shadow: what the rules refuse is logged and goes out; the off-switch still counts.
        private: hosts that may have addresses inside this host or its network.
    """

    enabled: bool = True
    mode: Literal["strict", "permissive"] = "permissive"
    shadow: bool = False
    schemes: tuple[Literal["http", "https"], ...] = ("https",)
    allow: tuple[HostPattern, ...] = ()
    deny: tuple[HostPattern, ...] = ()
    private: tuple[HostPattern, ...] = ()


class Models(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The cache of models (ORCH-3042, ORCH-3091).

    Attributes:
        fetch: models that are missing are fetched at preload, where `outbound` allows it.
        cache_bytes_max: of all models together; above it those go that nobody uses, longest unused first.
        allow_pickle: formats that run code when they are loaded may be fetched.
    """

    fetch: bool = True
    cache_bytes_max: Positive | None = None
    allow_pickle: bool = False


class Engines(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How engines are provisioned (ORCH-3200, OC-CONFIG-6027).

    Attributes:
        provision: engines that are missing are brought at preload, where `outbound` allows it.
        install_packages: tools that are missing may be installed by the system's package manager.
    """

    provision: bool = True
    install_packages: bool = False


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file.

    Attributes:
        model_folders: where files that the catalog names by `file:` may lie, beside the cache; absolute paths.
        experimental_cpu: engines that we start may decode without a GPU; shown in health, capabilities and reports
            (ORCH-1102).
    """

    host: str = "127.0.0.1"
    port: Port = 8080
    pools: Annotated[tuple[Pool, ...], msgspec.Meta(min_length=1)] = (Pool(),)
    sessions: Sessions = Sessions()
    token_limits: TokenLimits = TokenLimits()
    retention: Retention = Retention()
    http: Http = Http()
    artifacts: Artifacts = Artifacts()
    outbound: Outbound = Outbound()
    models: Models = Models()
    engines: Engines = Engines()
    model_folders: tuple[FolderPath, ...] = ()
    plugins: tuple[Plugin, ...] = ()
    experimental_cpu: bool = False


@dataclass(slots=True)
class Current:
    """The configuration that counts now: reading the file anew replaces it (`settings`)."""

    config: Config

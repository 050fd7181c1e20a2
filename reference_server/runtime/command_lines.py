"""How each engine is started: programs, arguments and variables, as lists; nothing ever goes through a shell.

Source: ORCH-3001, ORCH-3052, ORCH-3200, OC-CONFIG-6023.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reference_server.config import EngineName, SupervisedEngine
from reference_server.engines.base import EngineMissingError
from reference_server.provision.container import PREFIX, Container
from reference_server.runtime.orphans import MARK, mark

INSIDE: Final[Mapping[EngineName, tuple[int, int]]] = {
    "llamacpp": (8080, 8080),
    "vllm": (8000, 8000),
    "tgi": (8080, 8080),
    "triton": (8000, 8002),
}
"""Inside a container: the port of the API, and that of the metrics."""

VLLM: Final = ("-m", "vllm.entrypoints.openai.api_server")
MODELS: Final = "/models"  # inside a container


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What starts one engine.

    Attributes:
        environment: beside ours.
        container: what it runs in; None = it is a process of its own.
    """

    command: Sequence[str]
    environment: Mapping[str, str]
    container: Container | None = None


def start_of(
    engine: EngineName, settings: SupervisedEngine, what: Mapping[str, str], *, model: str, ports: tuple[int, int]
) -> Start:
    """The start of an engine.

    Args:
        what: its manifest.
        ports: on loopback, of its API and of its metrics.

    Raises:
        EngineMissingError: the model's path cannot be handed to a container.
    """
    if "image" in what:
        container = _container(engine, settings, what, Path(model).absolute(), ports)
        return Start(command=container.run(), environment={}, container=container)
    program = [what["python"], *VLLM] if engine == "vllm" else [what["binary"]]
    if engine == "triton":
        program.append(f"--backend-directory={what['backends']}")
    line = [*program, *arguments(engine, settings, model=model, host="127.0.0.1", ports=ports)]
    return Start(command=line, environment={**visible_devices(settings.devices), **variables(engine, settings)})


def arguments(
    engine: EngineName, settings: SupervisedEngine, *, model: str, host: str, ports: tuple[int, int]
) -> list[str]:
    """An engine's own arguments, `args` of the configuration last."""
    http, metrics = map(str, ports)
    shards = str(len(settings.devices))
    match engine:
        case "llamacpp":
            line = _llamacpp(settings, model, host, http)
        case "vllm":
            line = ["--model", model, "--host", host, "--port", http, "--max-model-len", str(settings.ctx)]
            line += ["--max-num-seqs", str(settings.slots)]
            line += ["--tensor-parallel-size", shards] if len(settings.devices) > 1 else []
        case "tgi":
            line = ["--model-id", model, "--hostname", host, "--port", http, "--max-total-tokens", str(settings.ctx)]
            line += ["--max-input-tokens", str(settings.ctx - 1), "--max-concurrent-requests", str(settings.slots)]
            line += ["--num-shard", shards] if len(settings.devices) > 1 else []
        case "triton":
            line = [f"--model-repository={model}", f"--http-address={host}", f"--http-port={http}"]
            line += ["--allow-grpc=false", f"--metrics-address={host}", f"--metrics-port={metrics}"]
    return [*line, *settings.args]


def _llamacpp(settings: SupervisedEngine, model: str, host: str, port: str) -> list[str]:
    """`ctx` is per slot here and shared there; one slot runs without continuous batching."""
    line = ["-m", model, "--host", host, "--port", port, "--metrics", "--slots"]
    line += ["--parallel", str(settings.slots), "-c", str(settings.slots * settings.ctx)]
    if settings.threads is not None:
        line += ["-t", str(settings.threads)]
    if settings.slots == 1:
        line.append("--no-cont-batching")
    if settings.devices:
        line += ["-ngl", "999", "--split-mode", "layer" if settings.tensor_split else "none"]
    if settings.tensor_split:
        line += ["--tensor-split", ",".join(f"{share:g}" for share in settings.tensor_split)]
    return line


def variables(engine: EngineName, settings: SupervisedEngine) -> dict[str, str]:
    """Nothing is fetched or told behind the outbound policy's back, and what has no GPU does not look for one."""
    if engine == "llamacpp":
        return {}
    quiet = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    threads = {"OMP_NUM_THREADS": str(settings.threads)} if settings.threads is not None else {}
    on_cpu = {"VLLM_TARGET_DEVICE": "cpu"} if engine == "vllm" and not settings.devices else {}
    return {**quiet, **threads, **on_cpu}


def visible_devices(devices: Sequence[int]) -> dict[str, str]:
    """What makes a CUDA program see these devices and no others; empty = none (CUDA C++ Programming Guide, J)."""
    return {"CUDA_VISIBLE_DEVICES": ",".join(map(str, devices)), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


def _container(
    engine: EngineName, settings: SupervisedEngine, what: Mapping[str, str], model: Path, ports: tuple[int, int]
) -> Container:
    if any(sign in str(model) for sign in ',"\n'):
        raise EngineMissingError(f"{model}: a path with a comma or a quote cannot be handed to a container")
    inside = f"{MODELS}/{model.name}"
    own = INSIDE[engine]
    line = arguments(engine, settings, model=inside, host="0.0.0.0", ports=own)  # noqa: S104 - inside the container
    entrypoint = {"vllm": "python3", "triton": None}.get(engine)
    before: Mapping[str, tuple[str, ...]] = {"vllm": VLLM, "triton": ("tritonserver",)}
    return Container(
        runtime=what["runtime"],
        image=what["image"],
        name=f"{PREFIX}{mark()[MARK].replace(':', '-')}-{secrets.token_hex(4)}",
        ports=dict(zip(ports, own, strict=True)) if engine == "triton" else {ports[0]: own[0]},
        mount=(model, inside),
        devices=settings.devices,
        environment=variables(engine, settings),
        entrypoint=entrypoint,
        arguments=[*before.get(engine, ()), *line],
    )

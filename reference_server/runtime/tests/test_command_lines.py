"""The command line of each engine, to the letter: as a process, and in a container."""

from collections.abc import Mapping
from typing import Final

import pytest

from reference_server.config import EngineName, SupervisedEngine
from reference_server.engines.base import EngineMissingError
from reference_server.runtime.command_lines import start_of

IMAGE = "registry.example/engine@sha256:" + "a" * 64
SETTINGS = SupervisedEngine(slots=4, ctx=1024, devices=(0, 1), args=("--own",))
PORTS = (4000, 4001)

VLLM: Final = "-m vllm.entrypoints.openai.api_server --model {model} --host {host} --port {http}"
LINES: Final[Mapping[EngineName, str]] = {
    "llamacpp": (
        "-m {model} --host {host} --port {http} --metrics --slots --parallel 4 -c 4096 -ngl 999 --split-mode none --own"
    ),
    "vllm": f"{VLLM} --max-model-len 1024 --max-num-seqs 4 --tensor-parallel-size 2 --own",
    "tgi": (
        "--model-id {model} --hostname {host} --port {http} --max-total-tokens 1024 --max-input-tokens 1023 "
        "--max-concurrent-requests 4 --num-shard 2 --own"
    ),
    "triton": (
        "--model-repository={model} --http-address={host} --http-port={http} --allow-grpc=false "
        "--metrics-address={host} --metrics-port={metrics} --own"
    ),
}
PROGRAMS: Final[Mapping[EngineName, tuple[Mapping[str, str], str]]] = {
    "llamacpp": ({"binary": "/e/llama-server"}, "/e/llama-server"),
    "vllm": ({"python": "/e/python"}, "/e/python"),
    "triton": ({"binary": "/e/tritonserver", "backends": "/e/b"}, "/e/tritonserver --backend-directory=/e/b"),
}
QUIET = "--env HF_HUB_OFFLINE=1 --env VLLM_NO_USAGE_STATS=1 --env DO_NOT_TRACK=1"
IMAGES: Final[Mapping[EngineName, tuple[str, str, str, str]]] = {
    "vllm": ("--publish 127.0.0.1:4000:8000", " --entrypoint python3", "", "8000 8000"),
    "tgi": ("--publish 127.0.0.1:4000:8080", "", "", "8080 8080"),
    "triton": ("--publish 127.0.0.1:4000:8000 --publish 127.0.0.1:4001:8002", "", " tritonserver", "8000 8002"),
}
"""What is published, the entrypoint, what stands before the arguments, and the ports inside."""


def line(engine: EngineName, *, model: str, host: str, ports: str) -> str:
    http, metrics = ports.split()
    return LINES[engine].format(model=model, host=host, http=http, metrics=metrics)


@pytest.mark.req("ORCH-3201", "ORCH-3001")
@pytest.mark.parametrize("engine", PROGRAMS)
def test_a_process_is_started_with_these_words(engine: EngineName) -> None:
    what, program = PROGRAMS[engine]

    start = start_of(engine, SETTINGS, what, model="/m/one", ports=PORTS)

    expected = f"{program} {line(engine, model='/m/one', host='127.0.0.1', ports='4000 4001')}"
    assert expected == " ".join(start.command)
    assert "0,1" == start.environment["CUDA_VISIBLE_DEVICES"]
    assert start.container is None


@pytest.mark.req("ORCH-3201", "OC-CONFIG-6023")
@pytest.mark.parametrize("engine", IMAGES)
def test_a_container_is_run_with_these_words(engine: EngineName) -> None:
    published, entrypoint, before, inside = IMAGES[engine]

    start = start_of(engine, SETTINGS, {"runtime": "docker", "image": IMAGE}, model="/m/one", ports=PORTS)

    own = line(engine, model="/models/one", host="0.0.0.0", ports=inside)  # noqa: S104 - inside the container
    name = start.command[start.command.index("--name") + 1]
    assert (
        f"docker run --rm --init --pull=never --name {name} --cap-drop=ALL --security-opt=no-new-privileges "
        f"--shm-size=1g {published} --mount type=bind,source=/m/one,target=/models/one,readonly "
        f'--gpus "device=0,1" {QUIET}{entrypoint} {IMAGE}{before} {own}'
    ) == " ".join(start.command)
    assert start.container is not None


@pytest.mark.req("OC-CONFIG-6023")
@pytest.mark.parametrize("model", ["/m/a,readonly=false", '/m/a"b', "/m/a\nb"])
def test_a_path_that_a_mount_would_read_otherwise_is_refused(model: str) -> None:
    with pytest.raises(EngineMissingError, match="cannot be handed to a container"):
        start_of("tgi", SETTINGS, {"runtime": "docker", "image": IMAGE}, model=model, ports=PORTS)

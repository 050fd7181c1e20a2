"""The `container` mode: what the runtimes are told, to the letter. Stand-ins that note it, because none runs here."""

from pathlib import Path

import pytest

from reference_server.config import Outbound
from reference_server.policy.tests.far_end import FarEnd
from reference_server.provision import network, provisioner
from reference_server.provision.container import Container, ImagePull
from reference_server.provision.errors import (
    DigestError,
    OutboundRefusedError,
)
from reference_server.provision.tests.programs import Programs
from reference_server.provision.tests.test_provision import leftovers

DIGEST = "@sha256:" + "a" * 64
IMAGE = "ghcr.io/org/engine" + DIGEST


def pulls(programs: Programs, runtime: str) -> list[list[str]]:
    return [call for call in programs.calls(runtime) if call[0] == "pull"]


@pytest.mark.req("OC-CONFIG-6023", "ORCH-3201")
@pytest.mark.parametrize("runtime", ["docker", "podman"])
def test_stand_in_runtime_is_told_to_pull_the_image_by_its_digest_once(
    programs: Programs, far: FarEnd, runtime: str
) -> None:
    image = f"127.0.0.1:{far.port}/org/engine{DIGEST}"
    programs.add_runtime(runtime)
    recipe = ImagePull(engine="tgi", version="3.3.4", image=image, runtime=runtime)

    made = provisioner.install(recipe)
    assert made == provisioner.install(recipe)
    assert (runtime, image, "container") == (made["runtime"], made["image"], made["mode"])
    assert [["pull", "--quiet", image]] == pulls(programs, runtime)


@pytest.mark.req("OC-CONFIG-6023", "ORCH-3204")
def test_stand_in_runtime_that_has_another_digest_is_not_believed(programs: Programs, far: FarEnd) -> None:
    image = f"127.0.0.1:{far.port}/org/engine"
    programs.add_runtime("docker", serves=image + "@sha256:" + "b" * 64)

    with pytest.raises(DigestError, match="other digests"):
        provisioner.install(ImagePull(engine="tgi", version="v", image=image + DIGEST, runtime="docker"))
    assert [] == leftovers()


@pytest.mark.req("OC-POLICY-4044", "OC-CONFIG-6023", "ORCH-3205")
@pytest.mark.parametrize(
    ("rules", "registry", "why"),
    [
        (Outbound(enabled=False), "ghcr.io", "switched off"),
        (Outbound(mode="strict"), "ghcr.io", "strict mode"),
        (Outbound(deny=("registry-1.docker.io",)), "vllm", "deny list"),
        (Outbound(), "169.254.169.254", r"169\.254\.169\.254 lies inside"),
    ],
)
def test_stand_in_runtime_pulls_nothing_that_the_policy_refuses(
    programs: Programs, rules: Outbound, registry: str, why: str
) -> None:
    network.follow(lambda: rules)
    programs.add_runtime("docker")

    with pytest.raises(OutboundRefusedError, match=why):
        provisioner.install(ImagePull(engine="tgi", version="v", image=f"{registry}/engine{DIGEST}", runtime="docker"))
    network.follow(Outbound)
    assert [] == pulls(programs, "docker")


@pytest.mark.req("OC-CONFIG-6023")
@pytest.mark.parametrize(
    ("runtime", "devices"),
    [
        ("docker", ["--gpus", '"device=0,1"']),
        ("podman", ["--device", "nvidia.com/gpu=0", "--device", "nvidia.com/gpu=1"]),
    ],
)
def test_the_command_line_of_a_container_is_a_list_to_the_letter(runtime: str, devices: list[str]) -> None:
    container = Container(
        runtime=runtime,
        image=IMAGE,
        name="llama-orch-1-2-x",
        ports={4000: 80},
        mount=(Path("/models/a b; rm -rf"), "/model"),
        devices=(0, 1),
        environment={"HF_HUB_OFFLINE": "1"},
        entrypoint="python3",
        arguments=["-m", "engine", "--port", "80"],
    )

    assert [
        *(runtime, "run", "--rm", "--init", "--pull=never", "--name", "llama-orch-1-2-x"),
        *("--cap-drop=ALL", "--security-opt=no-new-privileges", "--shm-size=1g", "--publish", "127.0.0.1:4000:80"),
        *("--mount", "type=bind,source=/models/a b; rm -rf,target=/model,readonly", *devices),
        *("--env", "HF_HUB_OFFLINE=1", "--entrypoint", "python3", IMAGE, "-m", "engine", "--port", "80"),
    ] == container.run()
    assert [runtime, "rm", "--force", "llama-orch-1-2-x"] == container.remove()

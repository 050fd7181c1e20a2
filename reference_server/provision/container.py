"""An engine as a container image by its digest, run by docker or podman; and the command lines that run it.

The runtime verifies what it pulls against the digest. What docker fetches it fetches in its daemon, past our gateway,
so the policy is asked about the registry before that; podman goes out through the gateway itself.

Source: ORCH-3201, ORCH-3204, OC-CONFIG-6023, OC-POLICY-4044.
"""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reference_server.policy.clients import environment as ways_of
from reference_server.policy.outbound import split
from reference_server.provision import network, step, tools
from reference_server.provision.errors import DigestError
from reference_server.provision.plan import Input, Plan, Step, folder_of, key_of
from reference_server.provision.tools import Found
from reference_server.provision.work import Site

PREFIX = "llama-orch-"
DISK_BYTES = 1024**3  # of ours; where the runtime keeps its images is the runtime's
ASK_S = 30.0
DEFAULT_REGISTRY, DEFAULT_REGISTRY_HOST = "docker.io", "registry-1.docker.io"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePull:
    """A `Recipe`. See `ContainerMode` for the fields."""

    engine: str
    version: str
    image: str
    runtime: str = "auto"

    def plan(self) -> Plan:
        """What will be done."""
        image, runtime = whole_name(self.image), tools.look_for_runtime(self.runtime)
        key = key_of(self.version, [image, runtime.tool])
        inspect = (runtime.tool, "image", "inspect", "--format", "{{json .RepoDigests}}", image)
        return Plan(
            engine=self.engine,
            mode="container",
            version=self.version,
            key=key,
            folder=str(folder_of(self.engine, key)),
            tools=(runtime.tool,),
            inputs=(Input(image, image.partition("@")[2]),),
            steps=(
                Step("pulling the image", (runtime.tool, "pull", "--quiet", image)),
                Step("looking at the image", inspect),
            ),
            disk_bytes=DISK_BYTES,
        )

    def needs(self) -> list[Found]:
        """A runtime that answers."""
        return [tools.look_for_runtime(self.runtime)]

    def is_whole(self, manifest: dict[str, str]) -> bool:
        """The runtime still has the image."""
        del manifest
        return _digests(self.plan().steps[1]) is not None

    def make(self, site: Site) -> dict[str, str]:
        """Pull, unless the runtime has it."""
        pull, inspect = self.plan().steps
        runtime, image = pull.command[0], pull.command[-1]
        digest = image.partition("@")[2]
        if digest not in (_digests(inspect) or ""):
            with network.going_out("image") as held:
                network.require_reachable(*registry_of(image), purpose="image")
                env = ways_of(held) if runtime == "podman" else {}
                step.run(pull.name, pull.command, site.log_file, env=env, work=site.work)
        if digest not in (shown := _digests(inspect) or ""):
            raise DigestError(f"{image}: {runtime} has other digests of it: {shown.strip() or 'none'}")
        return {"runtime": runtime, "image": image}


def whole_name(image: str) -> str:
    """With its registry, as both runtimes understand it. # vllm/vllm-openai@… → docker.io/vllm/vllm-openai@…"""
    first, slash, _ = image.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return image
    return f"{DEFAULT_REGISTRY}/{image if slash else 'library/' + image}"


def registry_of(image: str) -> tuple[str, int]:
    """Host and port of an image's registry."""
    host, port = split(image.partition("/")[0])
    return (DEFAULT_REGISTRY_HOST if host == DEFAULT_REGISTRY else host), port or 443


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One container to run.

    Attributes:
        name: begins with `PREFIX`.
        ports: inside, by the port on loopback that leads there.
        mount: a file or folder of this host, and where it is inside, read-only.
        devices: GPUs, by their numbers.
        entrypoint: None = the image's own.
    """

    runtime: str
    image: str
    name: str
    ports: Mapping[int, int]
    mount: tuple[Path, str] | None
    devices: Sequence[int]
    environment: Mapping[str, str]
    entrypoint: str | None
    arguments: Sequence[str]

    def run(self) -> list[str]:
        """The command that runs it in the foreground; it is removed when it ends."""
        line = [self.runtime, "run", "--rm", "--init", "--pull=never", "--name", self.name]
        line += ["--cap-drop=ALL", "--security-opt=no-new-privileges", "--shm-size=1g"]
        for outside, inside in self.ports.items():
            line += ["--publish", f"127.0.0.1:{outside}:{inside}"]
        if self.mount is not None:
            source, target = self.mount
            line += ["--mount", f"type=bind,source={source},target={target},readonly"]
        if self.runtime == "podman":
            line += [part for device in self.devices for part in ("--device", f"nvidia.com/gpu={device}")]
        elif self.devices:  # docker reads the value as CSV: the quotes are its own
            line += ["--gpus", '"device={}"'.format(",".join(map(str, self.devices)))]
        for name, value in self.environment.items():
            line += ["--env", f"{name}={value}"]
        if self.entrypoint is not None:
            line += ["--entrypoint", self.entrypoint]
        return [*line, self.image, *self.arguments]

    def remove(self) -> list[str]:
        """The command that ends it, whatever it is doing."""
        return [self.runtime, "rm", "--force", self.name]


def running(runtime: str) -> list[str]:
    """The names of all containers of ours. Blocks; empty where the runtime does not answer."""
    asked = _asked((runtime, "ps", "--all", "--filter", f"name={PREFIX}", "--format", "{{.Names}}"))
    names = asked.stdout.split() if asked is not None and asked.returncode == 0 else []
    return [name for name in names if name.startswith(PREFIX)]


def end(command: Sequence[str]) -> None:
    """Run `Container.remove`; one that is gone is no error. Blocks."""
    _asked(command)


def _digests(inspect: Step) -> str | None:
    """The digests that the runtime has of an image; None where it does not have it."""
    asked = _asked(inspect.command)
    return asked.stdout if asked is not None and asked.returncode == 0 else None


def _asked(command: Sequence[str]) -> "subprocess.CompletedProcess[str] | None":
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, timeout=ASK_S)
    except (OSError, subprocess.TimeoutExpired):
        return None

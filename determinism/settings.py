"""How each engine is run so that its streams do not depend on what is around them.

One slot and no continuous batching: nothing shares a batch. No prompt cache: strict tasks ask for none. A fixed seed,
and the sampler profile of the pool. Several slots are for finding out whether an engine's batches matter.

Source: OC-TEST-7002, ORCH-3011, HME-041.
"""

from dataclasses import dataclass
from typing import Any

from harness.target import Settings

CTX = 1024  # a prompt of the suite, its answer, and a sibling's
CTX_SHARED = 512  # of each slot where there are many
QUEUE = 256  # every sibling may wait
THREADS = 1  # two engines on two cores; with more threads each, they wait for each other
STARTED_HERE = ("vllm",)  # by us and not by the server, which only attaches to them; one sequence at a time
ENGINES = ("llamacpp", "vllm", "mock")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """A server that we start.

    Attributes:
        replicas: 2 or more.
        slots: of each replica; 1 is the deterministic setting.
        gpu: the device all replicas are on, by itself (HME-041); None = the CPU.
        engine_urls: external engines of ours, one for each replica; empty = the server starts its own.
    """

    engine: str = "llamacpp"
    replicas: int = 2
    slots: int = 1
    gpu: int | None = None
    engine_urls: tuple[str, ...] = ()


def server_settings(setup: Setup) -> Settings:
    """The configuration file of the reference server."""
    return {
        "experimental_cpu": setup.gpu is None,
        "pools": [
            {
                "engine": "llamacpp" if setup.engine == "mock" else setup.engine,
                "replicas": [_replica(setup, number) for number in range(setup.replicas)],
                "queue": {"capacity_interactive": QUEUE, "capacity_batch": QUEUE},
            }
        ],
    }


def _replica(setup: Setup, number: int) -> dict[str, Any]:
    if setup.engine_urls:
        return {"kind": "external", "url": setup.engine_urls[number], "slots": setup.slots}
    if setup.engine == "mock":
        return {"kind": "mock", "slots": setup.slots}
    ctx = CTX if setup.slots == 1 else CTX_SHARED
    where: dict[str, Any] = {"threads": THREADS} if setup.gpu is None else {"devices": [setup.gpu]}
    return {"kind": "supervised", "slots": setup.slots, "ctx": ctx, **where}

"""vLLM on the CPU, in an environment of its own, with a tiny model of random weights to run it on.

The wheel of vLLM for CPUs is fetched by hash; PyTorch by version alone, because machines differ in which build of it
fits them. The model is made here: a small Llama whose text means nothing, and which never ends by itself.

Source: ORCH-3055, ORCH-3200, OC-CONFIG-6024.
"""

from pathlib import Path

from reference_server.provision import environment, step
from reference_server.provision.environment import Environment
from reference_server.provision.work import Site

VERSION = "0.32.0"
UNLOCKED = ("torch==2.13.0",)
MAKE_MODEL = Path(__file__).parent / "payload" / "tiny_model.py"
GLIBC, PYTHONS = (2, 28), ("3.11", "3.12", "3.13")
DISK_BYTES = 9 * 10**9  # wheels and what is installed from them, 4 GB of which stay


def recipe() -> Environment:
    """The one that this version of llama-orch pins."""
    return Environment(
        engine="vllm",
        version=VERSION,
        lock=environment.LOCKS / "vllm.txt",
        unlocked=UNLOCKED,
        furniture=(MAKE_MODEL,),
        furnish=_furnish,
        disk_bytes=DISK_BYTES,
        glibc=GLIBC,
        pythons=PYTHONS,
    )


def own(version: str, lock: Path) -> Environment:
    """Another one, from a lock of the operator's."""
    return Environment(
        engine="vllm",
        version=version,
        lock=lock,
        furnish=environment.bare,
        disk_bytes=DISK_BYTES,
        glibc=GLIBC,
        pythons=PYTHONS,
    )


def _furnish(site: Site) -> dict[str, str]:
    command = [str(site.staging / "bin" / "python"), str(MAKE_MODEL), str(site.staging / "model")]
    step.run("making the tiny model", command, site.log_file, env={"HF_HUB_OFFLINE": "1"}, work=site.work)
    return {"model": str(site.final / "model")}

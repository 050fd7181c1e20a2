"""vLLM on the CPU, in an environment of its own, with a tiny model of random weights to run it on.

The wheel of vLLM for CPUs is fetched by hash; PyTorch by version alone, because machines differ in which build of it
fits them. The model is made here: a small Llama whose text means nothing, and which never ends by itself.

Source: ORCH-3055, ORCH-3200, OC-CONFIG-6024.
"""

from pathlib import Path

from reference_server.provision import cache, environment, step

VERSION = "0.32.0"
UNLOCKED = ("torch==2.13.0",)
MAKE_MODEL = Path(__file__).parent / "payload" / "tiny_model.py"


def plan() -> environment.Plan:
    """What `install` will do."""
    return environment.plan("vllm", VERSION, unlocked=UNLOCKED, furniture=(MAKE_MODEL,), size="4 GB")


def install() -> dict[str, str]:
    """Bring vLLM unless it is there.

    Returns:
        Its manifest: `engine`, `version`, `key`, `python`, `model` (a folder).

    Raises:
        ProvisionError: it could not be brought.
    """
    environment.require_linux(glibc=(2, 28), pythons=("3.11", "3.12", "3.13"))
    return environment.install(plan(), _furnish)


def _furnish(staging: Path, final: Path) -> dict[str, str]:
    log_file = cache.root() / "logs" / f"vllm-{plan().key}.log"
    command = [str(staging / "bin" / "python"), str(MAKE_MODEL), str(staging / "model")]
    step.run("making the tiny model", command, log_file, percent=lambda _: None, env={"HF_HUB_OFFLINE": "1"})
    return {"model": str(final / "model")}

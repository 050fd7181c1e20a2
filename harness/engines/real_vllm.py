"""The real vLLM on the CPU with the tiny random model that its install makes.

Source: ORCH-3055, OC-TEST-7010.
"""

import os
import signal
from collections.abc import Mapping
from pathlib import Path

from harness.engines.real_engine import RealEngine, free_port, gauge

CTX = 4096
MODEL_NAME = "tiny"
ENVIRONMENT = {
    "VLLM_TARGET_DEVICE": "cpu",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    # The worker in the engine core's process: as two they wait for each other without sleeping, take both cores of a
    # small machine, and the frames of a request stay in the engine core for seconds.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "OMP_NUM_THREADS": "1",  # as for llama-server: threads that wait for each other take a busy machine's time
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
}


class RealVllm(RealEngine):
    """One vLLM with one sequence at a time and no prefix cache.

    Args:
        pooling: serve the model as one that embeds instead of one that generates.
    """

    name = "vllm"
    loading_ms = 300_000  # 40 s on an idle machine, most of it imports

    def __init__(self, what: Mapping[str, str], *, folder: Path, pooling: bool = False) -> None:
        port = free_port()
        mode = ("--runner", "pooling", "--convert", "embed") if pooling else ("--no-enable-prefix-caching",)
        super().__init__(
            [
                *(what["python"], "-m", "vllm.entrypoints.openai.api_server", "--model", what["model"]),
                *("--served-model-name", MODEL_NAME, "--dtype", "float32", "--max-model-len", str(CTX)),
                *("--enforce-eager", "--max-num-seqs", "1", "--host", "127.0.0.1", "--port", str(port), *mode),
            ],
            url=f"http://127.0.0.1:{port}",
            folder=folder,
            env=ENVIRONMENT,
        )

    def version(self) -> str:
        """From `/version`."""
        return str(self.get("/version")["version"])

    def running(self) -> int:
        """From its metrics."""
        return int(gauge(f"{self.url}/metrics", "vllm:num_requests_running"))

    def break_inside(self) -> str | None:
        """Kill its engine core, a process of its own: the server in front of it lives, and says so in the stream."""
        group = [path for path in Path("/proc").glob("[0-9]*") if _group_of(path) == self.process.pid]
        cores = [int(path.name) for path in group if b"VLLM::EngineCore" in (path / "cmdline").read_bytes()]
        for pid in cores:
            os.kill(pid, signal.SIGKILL)
        return None if cores else "its engine core was not found"


def _group_of(process: Path) -> int | None:
    """The process group of a `/proc/PID`; None where it has ended."""
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[2])
    except (OSError, ValueError, IndexError):
        return None

"""The real Triton server with the model that its install brings: TensorRT-LLM's tensors, text that is made up.

Source: ORCH-3057, OC-TEST-7010.
"""

from collections.abc import Mapping
from pathlib import Path

from harness.engines.real_engine import RealEngine, free_port, gauge
from harness.target import Settings


class RealTriton(RealEngine):
    """One Triton. The model takes any number of requests; the server before it is told of one slot."""

    name = "triton"
    ready_path = "/v2/models/ensemble/ready"
    loading_ms = 120_000  # 5 s on an idle machine

    def __init__(self, what: Mapping[str, str], *, folder: Path) -> None:
        http, metrics = free_port(), free_port()
        self.metrics_url = f"http://127.0.0.1:{metrics}"
        super().__init__(
            [
                *(what["binary"], f"--model-repository={what['repository']}"),
                *(f"--backend-directory={what['backends']}", "--log-info=false"),
                *("--http-address=127.0.0.1", f"--http-port={http}", "--allow-grpc=false"),
                *("--metrics-address=127.0.0.1", f"--metrics-port={metrics}"),
            ],
            url=f"http://127.0.0.1:{http}",
            folder=folder,
        )

    @property
    def replica(self) -> Settings:
        """With the address of its metrics, which are another service."""
        return {**super().replica, "metrics_url": self.metrics_url}

    def version(self) -> str:
        """From the server's metadata."""
        return str(self.get("/v2")["version"])

    def running(self) -> int:
        """From its metrics, which the model feeds."""
        return int(gauge(f"{self.metrics_url}/metrics", "nv_trt_llm_request_metrics", 'request_type="active"'))

    def break_inside(self) -> None:
        """Nothing has to be done: it refuses an answer that outgrows its context once it gets there."""

"""Starts a real engine by its name.

Source: OC-TEST-7010.
"""

from pathlib import Path

from harness.engines.installed import installed_engine
from harness.engines.real_engine import RealEngine
from harness.engines.real_llamacpp import RealLlama, installed
from harness.engines.real_triton import RealTriton
from harness.engines.real_vllm import RealVllm
from harness.target import CannotRunError

NAMES = ("llamacpp", "vllm", "triton")


def start(name: str, *, folder: Path) -> RealEngine:
    """Start an installed engine.

    Args:
        folder: for its logs.

    Raises:
        CannotRunError: there is none of this name, it is not installed, or it did not start.
    """
    match name:
        case "llamacpp":
            return RealLlama(installed(), folder=folder)
        case "vllm":
            return RealVllm(installed_engine(name), folder=folder)
        case "triton":
            return RealTriton(installed_engine(name), folder=folder)
        case _:
            raise CannotRunError(f"there is no real {name} to start; known: {', '.join(NAMES)}")


def start_for(name: str, workload: str, *, folder: Path) -> RealEngine | None:
    """Start an installed engine so that it serves `embedding` or `rerank`; None where it has no start that does.

    Raises:
        CannotRunError: as `start`.
    """
    match name, workload:
        case "llamacpp", "embedding":
            return RealLlama(installed(), folder=folder, args=("--embeddings", "--pooling", "mean"))
        case "llamacpp", "rerank":
            return RealLlama(installed(), folder=folder, args=("--reranking",))
        case "vllm", "embedding":
            return RealVllm(installed_engine(name), folder=folder, pooling=True)
        case _:
            return None

"""What became of an engine: told apart by what it printed and how its process ended.

The order of the table matters: an out-of-memory on a GPU also says "CUDA error", and an ECC error also resets.

Source: ORCH-3038, ORCH-3039, ORCH-3053, OC-POOL-3010; messages as printed by llama.cpp (ggml-cuda), PyTorch (vLLM and
TGI), TensorRT-LLM and the NVIDIA driver.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

FaultKind = Literal[
    "lost",  # does not answer, or its connection broke
    "crashed",  # its process ended by itself
    "vram-oom",
    "host-oom",
    "cuda-error",  # a CUDA or driver error that a restart may cure
    "driver-reset",  # the driver reset the GPU, or lost it
    "ecc-error",  # uncorrectable memory error of the GPU
    "not-ready",  # it did not come up in time
    "too-small",  # it was not started: memory would not do
    "mismatch",  # its version or model differs from those of its set
    "model-missing",  # it is not on this host, and could not be fetched
    "misconfigured",  # no binary, no model, a device that is not there
    "self-test",  # it came up, and did not pass its self-test
    "retired",  # its model is Retired: it stays down
    "breaker",  # it answers, and too often with errors
    "defect",  # ours
]


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a replica is out.

    Attributes:
        text: for `last_error` and the log; holds no prompt, output or key.
    """

    kind: FaultKind
    text: str


_TABLE: tuple[tuple[FaultKind, tuple[str, ...]], ...] = (
    ("ecc-error", (r"uncorrectable ecc", r"double[- ]bit ecc", r"xid \(pci:[^)]*\):\s*(48|63|64|94|95)\b")),
    (
        "driver-reset",
        (
            *(r"gpu is lost", r"fallen off the bus", r"gpu requires reset", r"gpu has been reset"),
            *(r"xid \(pci:[^)]*\):\s*(43|45|61|62|69|79|109|119|120)\b", r"the launch timed out"),
        ),
    ),
    (
        "vram-oom",
        (
            *(r"cuda.*out of memory", r"outofmemoryerror", r"cudaerrormemoryallocation"),
            *(r"failed to allocate cuda\d* buffer", r"not enough memory to handle \d+ prefill tokens"),
            *(r"no available memory for the cache blocks", r"free memory on device .* is less than desired gpu memory"),
        ),
    ),
    (
        "host-oom",
        (
            *(r"std::bad_alloc", r"cannot allocate memory", r"failed to allocate cpu buffer", r"^memoryerror\b"),
            *(r"cpu_buffer_type_alloc_buffer: failed", r"oom-kill"),
        ),
    ),
    (
        "cuda-error",
        (
            *(r"cuda error", r"cuda driver error", r"cudaerror", r"cuda_error_", r"cu(blas|dnn).*(error|status_)"),
            *(r"nccl error", r"nvml.*(error|mismatch)", r"no cuda-capable device", r"driver version is insufficient"),
        ),
    ),
)
_PATTERNS = tuple((kind, re.compile("|".join(signs), re.IGNORECASE)) for kind, signs in _TABLE)


def kind_of(lines: Iterable[str]) -> FaultKind | None:
    """What a process' output says it died of: the most telling line wins; None = it does not say."""
    kept = list(lines)
    for kind, pattern in _PATTERNS:
        if any(pattern.search(line) for line in kept):
            return kind
    return None


DRIVER_FAULTS: frozenset[FaultKind] = frozenset({"cuda-error", "driver-reset", "ecc-error"})
"""Counted apart from all other failures (ORCH-3053)."""

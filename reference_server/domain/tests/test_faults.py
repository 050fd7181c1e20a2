"""What an engine's output says it died of. The lines are those that the engines print."""

import pytest

from reference_server.domain.faults import FaultKind, kind_of


@pytest.mark.req("ORCH-3038", "ORCH-3039", "ORCH-3053", "OC-POOL-3015")
@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (
            "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 9 MiB on device: cudaMalloc failed: out of memory",
            "vram-oom",
        ),
        ("CUDA error: out of memory", "vram-oom"),
        (
            "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity",
            "vram-oom",
        ),
        ("RuntimeError: Not enough memory to handle 4096 prefill tokens. You need to decrease", "vram-oom"),
        ("ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`", "vram-oom"),
        ("terminate called after throwing an instance of 'std::bad_alloc'", "host-oom"),
        ("mmap failed: Cannot allocate memory", "host-oom"),
        ("ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size 123", "host-oom"),
        ("CUDA error: an illegal memory access was encountered", "cuda-error"),
        ("CUDA error: no kernel image is available for execution on the device", "cuda-error"),
        ("CUDA driver version is insufficient for CUDA runtime version", "cuda-error"),
        ("CUDA error: uncorrectable ECC error encountered", "ecc-error"),
        ("NVRM: Xid (PCI:0000:48:00): 79, pid=1, GPU has fallen off the bus.", "driver-reset"),
        ("NVRM: Xid (PCI:0000:79:00): 48, pid=1, DBE (double bit error)", "ecc-error"),
        ("Unable to determine the device handle for GPU0000:01:00.0: GPU is lost.  Reboot the system", "driver-reset"),
        ("llama_model_load: error loading model: unknown architecture", None),
        ("main: server is listening on http://127.0.0.1:8080", None),
    ],
)
def test_each_kind_is_told_apart(line: str, kind: FaultKind | None) -> None:
    assert kind == kind_of(["starting", line, "exiting"])


@pytest.mark.req("ORCH-3053")
def test_the_most_telling_line_wins_wherever_it_stands() -> None:
    lines = [
        "CUDA error: unspecified launch failure",
        "CUDA error: uncorrectable ECC error encountered",
        "std::bad_alloc",
    ]

    assert "ecc-error" == kind_of(lines) == kind_of(reversed(lines))


@pytest.mark.req("OC-POOL-3015")
def test_silence_says_nothing() -> None:
    assert kind_of([]) is None

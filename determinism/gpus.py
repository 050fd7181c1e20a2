"""The GPUs of this machine, by NVML.

Source: HME-041.
"""

import pynvml


def gpu_indices() -> tuple[int, ...]:
    """Every GPU's index; none where there is no driver."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    try:
        return tuple(range(pynvml.nvmlDeviceGetCount()))
    finally:
        pynvml.nvmlShutdown()

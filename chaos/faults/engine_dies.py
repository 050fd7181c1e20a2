"""`cuda-error`, `vram-oom`, `host-oom`: an engine dies by itself, with the last words that llama.cpp has for it.

The words are those of b11434's ggml-cuda and of the C++ library; exit codes are those of `abort()` and of `exit(1)`.
"""

import random
from collections.abc import Mapping

from chaos.engines import is_dead_soon
from chaos.faults.fault import Blow
from chaos.scene import Scene

ABORTED = 134  # 128 + SIGABRT, as a shell tells it

LAST_WORDS: Mapping[str, tuple[str, int]] = {
    "cuda-error": ("CUDA error: an illegal memory access was encountered", ABORTED),
    "vram-oom": (
        "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 512.00 MiB: cudaMalloc failed: out of memory",
        1,
    ),
    "host-oom": ("terminate called after throwing an instance of 'std::bad_alloc'", ABORTED),
}


class EngineDies:
    """One death."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._pid = 0

    def strike(self, scene: Scene, rng: random.Random) -> None:
        """Tell one to die."""
        alive = scene.engines.some_alive()
        if not alive:
            return
        self._pid = rng.choice(sorted(alive))
        say, code = LAST_WORDS[self._kind]
        scene.engines.tell_to_die(alive[self._pid], fault=self._kind, say=say, code=code)

    def heal(self, scene: Scene) -> Blow:
        """It stays dead."""
        if not self._pid:
            return Blow(0, "no engine was alive")
        is_dead = is_dead_soon(self._pid)
        told = [line for line in scene.engines.lines() if line["event"] == "dying" and line["pid"] == self._pid]
        return Blow(int(is_dead and bool(told)), f"engine {self._pid} died of {self._kind}")

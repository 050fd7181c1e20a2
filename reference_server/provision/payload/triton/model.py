"""The model `ensemble` of the Triton that this project installs: TensorRT-LLM's tensors, and text that it makes up.

A piece follows from prompt, seed and place alone. It has the manners of TensorRT-LLM that an adapter sees: a response
for each token, none after a cancel, a prompt and an answer that do not fit its context refused inside the stream, and
the number of requests in work among the server's metrics. Runs inside Triton's Python backend.
"""

import hashlib
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# The backend's interpreter knows no environment and drops PYTHONPATH: <environment>/repository/ensemble/1/model.py
sys.path.extend(map(str, Path(__file__).parents[3].glob("lib/python*/site-packages")))

import numpy as np
import triton_python_backend_utils as backend

PIECES = (" the", " queue", " waits", " while", " a", " slot", " is", " naïve", " €", " 水", " 🦙", ".", "\n", "")
CTX_MAX = 2048
TOKEN_S = 0.004  # between two tokens: a small model's pace, so that a cancel comes in the middle of an answer
ACTIVE = "nv_trt_llm_request_metrics"


class TritonPythonModel:
    """One instance; every request has a thread of its own."""

    def initialize(self, args: dict[str, str]) -> None:
        """Called once, by the backend."""
        family = backend.MetricFamily(name=ACTIVE, description="Requests by type", kind=backend.MetricFamily.GAUGE)
        self._active = family.Metric(
            labels={"model": args["model_name"], "version": args["model_version"], "request_type": "active"}
        )
        self._family = family
        self._threads: set[threading.Thread] = set()

    def execute(self, requests: list[Any]) -> None:
        """Answer later, by the requests' senders: that is what decoupled means."""
        for request in requests:
            thread = threading.Thread(target=self._answer, args=(request, request.get_response_sender()))
            self._threads = {other for other in self._threads if other.is_alive()} | {thread}
            thread.start()

    def finalize(self) -> None:
        """Called once, before the model is unloaded."""
        for thread in self._threads:
            thread.join()

    def _answer(self, request: Any, sender: Any) -> None:
        self._active.increment(1)
        try:
            for response in _responses(request):
                if sender.is_cancelled():
                    break
                sender.send(response)
                time.sleep(TOKEN_S)
        finally:
            self._active.increment(-1)
            sender.send(flags=backend.TRITONSERVER_RESPONSE_COMPLETE_FINAL)


def _responses(request: Any) -> Iterator[Any]:
    text = _value(request, "text_input", b"").decode()
    count, seed = int(_value(request, "max_tokens", 0)), int(_value(request, "random_seed", 0))
    if count < 1:
        yield _error("max_tokens must be positive")
        return
    room = CTX_MAX - len(text.split())
    for index in range(min(count, max(0, room))):
        key = hashlib.blake2b(f"{text}\0{seed}\0{index}".encode(), digest_size=8).digest()
        piece = PIECES[int.from_bytes(key, "big") % len(PIECES)]
        output = backend.Tensor("text_output", np.array([piece.encode()], dtype=object))
        yield backend.InferenceResponse(output_tensors=[output])
    if count > room:
        yield _error(f"prompt and answer exceed the maximum sequence length {CTX_MAX}")


def _value(request: Any, name: str, otherwise: Any) -> Any:
    tensor = backend.get_input_tensor_by_name(request, name)
    return otherwise if tensor is None else tensor.as_numpy().reshape(-1)[0]


def _error(text: str) -> Any:
    return backend.InferenceResponse(output_tensors=[], error=backend.TritonError(text))

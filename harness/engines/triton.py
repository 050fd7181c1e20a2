"""Triton with a decoupled model that has TensorRT-LLM's tensors, as 2.51 was seen."""

# ruff: noqa: ARG002 - one signature for all engines

from typing import Any

from harness.engines.wire_format import Asked, JsonAnswer, frame

NAME = "ensemble"
ROOT = f"/v2/models/{NAME}"
INPUTS = {
    "text_input": "BYTES",
    "max_tokens": "INT32",
    "stream": "BOOL",
    "random_seed": "UINT64",
    "temperature": "FP32",
    "top_k": "INT32",
    "top_p": "FP32",
    "repetition_penalty": "FP32",
}


class TritonFormat:
    """No terminal marker: the body's end is the end."""

    stream_paths: tuple[str, ...] = (f"{ROOT}/generate_stream",)
    busy: JsonAnswer = (503, {"error": "Exceeds maximum queue size"})
    loading: JsonAnswer = (400, None)
    loading_work: JsonAnswer = (404, {"error": "Request for unknown model: 'ensemble' has no available versions"})

    unsupported: JsonAnswer = (404, {"error": "Not Found"})
    metrics = (
        'nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="used",model="ensemble"} 0\n'
        'nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="max",model="ensemble"} 64\n'
        'nv_trt_llm_request_metrics{model="ensemble",request_type="active"} 0\n'
    )

    def get(self, path: str, version: str) -> JsonAnswer | None:
        """Health and metadata."""
        tensors = [{"name": name, "datatype": kind, "shape": [1]} for name, kind in INPUTS.items()]
        output = {"name": "text_output", "datatype": "BYTES", "shape": [-1]}
        answers: dict[str, object] = {
            "/v2/health/live": None,
            "/v2/health/ready": None,
            f"{ROOT}/ready": None,
            "/v2": {"name": "triton", "version": version, "extensions": ["generate"]},
            ROOT: {"name": NAME, "versions": ["1"], "platform": "python", "inputs": tensors, "outputs": [output]},
        }
        if path.startswith("/v2/models/") and path not in answers:
            return 404, {"error": f"Request for unknown model: '{path.split('/')[3]}' is not found"}
        return (200, answers[path]) if path in answers else None

    def post(self, path: str, body: Any) -> JsonAnswer | None:
        """A decoupled model refuses to answer at once, with a 200."""
        refusal = {"error": "generate expects model to produce exactly 1 response, use generate stream"}
        return (200, refusal) if path == f"{ROOT}/generate" else None

    def at_once(self, path: str, body: Any) -> tuple[str, JsonAnswer] | None:
        """Nothing."""

    def asked(self, body: Any) -> Asked:
        """From TensorRT-LLM's names."""
        return Asked(body["text_input"], body.get("random_seed", 0), body["max_tokens"])

    def refusal(self, body: Any) -> JsonAnswer | None:
        """Of nothing: it does not know what its model takes."""

    def token(self, piece: str, count: int, asked: Asked) -> bytes:
        """The new text alone."""
        return frame({"model_name": NAME, "model_version": "1", "text_output": piece})

    def end(self, text: str, count: int, asked: Asked) -> bytes:
        """Nothing."""
        return b""

    def error(self) -> bytes:
        """A text."""
        return frame({"error": "failed"})

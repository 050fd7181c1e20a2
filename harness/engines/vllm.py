"""vLLM's server, as 0.32 was seen."""

# ruff: noqa: ARG002 - one signature for all engines

from typing import Any

from harness.engines.wire_format import CTX_MAX, MODEL, Asked, JsonAnswer, frame, words

DONE = b"data: [DONE]\n\n"
HEAD = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": MODEL}


class VllmFormat:
    """One model that generates."""

    stream_paths: tuple[str, ...] = ("/v1/completions",)
    busy: JsonAnswer = (
        429,
        {"error": {"message": "too many", "type": "TooManyRequests", "param": None, "code": 429}},
    )
    loading: JsonAnswer = (
        503,
        {"error": {"message": "not ready", "type": "ServiceUnavailable", "param": None, "code": 503}},
    )

    unsupported: JsonAnswer = (404, {"detail": "Not Found"})
    metrics = 'vllm:num_requests_running{engine="0"} 0.0\nvllm:kv_cache_usage_perc{engine="0"} 0.0\n'
    loading_work: JsonAnswer = loading

    def get(self, path: str, version: str) -> JsonAnswer | None:
        """Health, version, models."""
        model = {"id": MODEL, "object": "model", "created": 1, "owned_by": "vllm", "root": MODEL}
        answers: dict[str, object] = {
            "/health": None,
            "/version": {"version": version},
            "/v1/models": {"object": "list", "data": [{**model, "max_model_len": CTX_MAX}]},
        }
        return (200, answers[path]) if path in answers else None

    def post(self, path: str, body: Any) -> JsonAnswer | None:
        """The tokeniser."""
        if path != "/tokenize":
            return None
        count = words(body["prompt"])
        return 200, {"count": count, "max_model_len": CTX_MAX, "tokens": list(range(count))}

    def at_once(self, path: str, body: Any) -> tuple[str, JsonAnswer] | None:
        """Embeddings, where the model is served for them."""
        if path != "/v1/embeddings":
            return None
        rows = [
            {"object": "embedding", "index": index, "embedding": [0.5, -0.5]} for index in range(len(body["input"]))
        ]
        return "embedding", (200, {"object": "list", "data": rows, "usage": {"prompt_tokens": len(rows)}})

    def asked(self, body: Any) -> Asked:
        """From OpenAI's names."""
        return Asked(body["prompt"], body.get("seed") or 0, body.get("max_tokens") or 16)

    def refusal(self, body: Any) -> JsonAnswer | None:
        """Of another model, and of a prompt that fills the context."""
        if body.get("model", MODEL) != MODEL:
            return 404, {"error": {"message": "no such model", "type": "NotFoundError", "param": "model", "code": 404}}
        if words(body["prompt"]) >= CTX_MAX:
            return 400, {"error": {"message": "too long", "type": "BadRequestError", "param": None, "code": 400}}
        return None

    def token(self, piece: str, count: int, asked: Asked) -> bytes:
        """A choice, and the count so far; the last token carries the reason of the end."""
        reason = "length" if count == asked.max_tokens else None
        choice = {"index": 0, "text": piece, "logprobs": None, "finish_reason": reason, "token_ids": [count]}
        return frame({**HEAD, "choices": [choice], "usage": _usage(count, asked)})

    def end(self, text: str, count: int, asked: Asked) -> bytes:
        """The usage, then the marker."""
        return frame({**HEAD, "choices": [], "usage": _usage(count, asked)}) + DONE

    def error(self) -> bytes:
        """What it sends once its engine core is dead."""
        return frame({"error": {"message": "failed", "type": "InternalServerError", "code": 500}}) + DONE


def _usage(count: int, asked: Asked) -> dict[str, int]:
    before = words(asked.prompt)
    return {"prompt_tokens": before, "completion_tokens": count, "total_tokens": before + count}

"""TGI's router, as its version 3 describes itself."""

# ruff: noqa: ARG002 - one signature for all engines

from typing import Any

from harness.engines.wire_format import CTX_MAX, MODEL, Asked, JsonAnswer, frame, words


class TgiFormat:
    """Its frames have no space after `data:`, and a stream's last is that of the special token that ends the text."""

    stream_paths: tuple[str, ...] = ("/generate_stream", "/")
    busy: JsonAnswer = (429, {"error": "Model is overloaded", "error_type": "overloaded"})
    loading: JsonAnswer = (503, {"error": "unhealthy", "error_type": "healthcheck"})

    unsupported: JsonAnswer = (404, {"error": "Not Found"})
    metrics = "tgi_batch_current_size 0\n"
    loading_work: JsonAnswer = loading

    def get(self, path: str, version: str) -> JsonAnswer | None:
        """Health and info."""
        limits = {"max_concurrent_requests": 128, "max_input_tokens": CTX_MAX - 1, "max_total_tokens": CTX_MAX}
        info = {"model_id": MODEL, "model_sha": None, "version": version, "sha": None, **limits}
        answers: dict[str, object] = {"/health": None, "/info": info}
        return (200, answers[path]) if path in answers else None

    def post(self, path: str, body: Any) -> JsonAnswer | None:
        """The tokeniser."""
        tokens = [{"id": index, "text": word} for index, word in enumerate(body["inputs"].split())]
        return (200, tokens) if path == "/tokenize" else None

    def at_once(self, path: str, body: Any) -> tuple[str, JsonAnswer] | None:
        """Nothing."""

    def asked(self, body: Any) -> Asked:
        """From TGI's names."""
        parameters = body.get("parameters") or {}
        tokens = parameters.get("max_new_tokens") or 100
        return Asked(body["inputs"], parameters.get("seed") or 0, tokens - 1)  # the special one is a token too

    def refusal(self, body: Any) -> JsonAnswer | None:
        """Of a prompt that fills the context."""
        if words(body["inputs"]) < CTX_MAX:
            return None
        return 422, {"error": "Input validation error: too long", "error_type": "validation"}

    def token(self, piece: str, count: int, asked: Asked) -> bytes:
        """A token."""
        return _frame(piece, count, None, None)

    def end(self, text: str, count: int, asked: Asked) -> bytes:
        """The special token, with the whole text and the details."""
        counts = {"generated_tokens": count + 1, "input_length": words(asked.prompt)}
        details = {"finish_reason": "eos_token", "seed": asked.seed, "prefill": [], "tokens": [], **counts}
        return _frame("</s>", count + 1, text, details)

    def error(self) -> bytes:
        """The object that it also answers with."""
        return frame({"error": "failed", "error_type": "generation"}, prefix=b"data:")


def _frame(piece: str, count: int, text: str | None, details: object) -> bytes:
    token = {"id": count, "text": piece, "logprob": -0.5, "special": text is not None}
    value = {"index": count, "token": token, "top_tokens": [], "generated_text": text, "details": details}
    return frame(value, prefix=b"data:")

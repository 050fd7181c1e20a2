"""llama-server's native API, as b11434 was recorded."""

# ruff: noqa: ARG002 - one signature for all engines

from typing import Any

from harness.engines.wire_format import CTX_MAX, MODEL, Asked, JsonAnswer, frame, words


class LlamaCppFormat:
    """Slots that are always idle to those who ask; one, or as many as it is told."""

    stream_paths: tuple[str, ...] = ("/completion",)
    busy: JsonAnswer = (429, {"error": {"code": 429, "message": "too many", "type": "rate_limit_error"}})
    loading: JsonAnswer = (503, {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}})

    unsupported: JsonAnswer = (501, {"error": {"code": 501, "message": "off", "type": "not_supported_error"}})
    metrics = "llamacpp:requests_processing 0\n"
    loading_work: JsonAnswer = loading

    def __init__(self, slots: int = 1) -> None:
        self.slots = slots

    def get(self, path: str, version: str) -> JsonAnswer | None:
        """Health, properties, slots."""
        props = {
            "default_generation_settings": {"n_ctx": CTX_MAX, "params": {}},
            "total_slots": self.slots,
            "model_path": MODEL,
            "build_info": version,
        }
        answers: dict[str, object] = {
            "/health": {"status": "ok"},
            "/props": props,
            "/slots": [{"id": slot, "n_ctx": CTX_MAX, "is_processing": False} for slot in range(self.slots)],
        }
        return (200, answers[path]) if path in answers else None

    def post(self, path: str, body: Any) -> JsonAnswer | None:
        """The tokeniser."""
        return (200, {"tokens": list(range(words(body["content"])))}) if path == "/tokenize" else None

    def at_once(self, path: str, body: Any) -> tuple[str, JsonAnswer] | None:
        """The two that an option of the start switches on."""
        match path:
            case "/embedding":
                rows = [{"index": index, "embedding": [[0.5, -0.5]]} for index in range(len(body["content"]))]
                return "embedding", (200, rows)
            case "/rerank":
                rows = [{"index": index, "relevance_score": 0.5} for index in range(len(body["documents"]))]
                return "rerank", (200, {"results": rows, "usage": {"prompt_tokens": 2 * len(rows)}})
        return None

    def asked(self, body: Any) -> Asked:
        """From llama-server's names."""
        is_streamed = body.get("stream") is not False
        return Asked(body["prompt"], body.get("seed", 0), body.get("n_predict", 16), is_streamed)

    def refusal(self, body: Any) -> JsonAnswer | None:
        """Of a prompt that fills the context."""
        if words(body["prompt"]) < CTX_MAX:
            return None
        return 400, {"error": {"code": 400, "message": "too long", "type": "exceed_context_size_error"}}

    def token(self, piece: str, count: int, asked: Asked) -> bytes:
        """A frame with the count so far."""
        counts = {"tokens_predicted": count, "tokens_evaluated": words(asked.prompt)}
        return frame({"index": 0, "content": piece, "tokens": [count], "stop": False, "id_slot": -1, **counts})

    def end(self, text: str, count: int, asked: Asked) -> bytes:
        """The frame with `stop: true`."""
        return frame(self._last("", count, asked))

    def whole(self, text: str, count: int, asked: Asked) -> JsonAnswer:
        """That frame's object, with all the text."""
        return 200, self._last(text, count, asked)

    def _last(self, text: str, count: int, asked: Asked) -> dict[str, object]:
        counts = {"tokens_predicted": count, "tokens_evaluated": words(asked.prompt)}
        timings = {"cache_n": 0, "prompt_n": words(asked.prompt), "predicted_n": count}
        last = {"index": 0, "content": text, "tokens": [], "id_slot": 0, "stop": True, "stop_type": "limit"}
        return {**last, **counts, "model": MODEL, "prompt": asked.prompt, "truncated": False, "timings": timings}

    def error(self) -> bytes:
        """An error object in a frame."""
        return frame({"error": {"code": 500, "message": "failed", "type": "server_error"}})

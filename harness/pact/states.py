"""Provider states of a running engine: which hold anyway, and how the others are brought about.

An engine that serves is ready. That it loads, is full, or fails while it generates nobody can ask it for over its own
API: there a vendor names an address that does it, or the interaction is NOT_TESTABLE.

Source: OC-TEST-7032.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from harness.history import parsed

HOLDS = frozenset(
    {
        "the model is ready",
        "no model of that name is served",
        "the prompt is longer than the context",
        "metrics are switched on",
        "slots are shown",
    }
)

ANSWER_S = 60.0  # a vendor's address may restart an engine

CONTEXT = {
    "llamacpp": ("/props", ("default_generation_settings", "n_ctx")),
    "vllm": ("/v1/models", ("data", 0, "max_model_len")),
    "tgi": ("/info", ("max_total_tokens",)),
}
MODELS = {"vllm": ("/v1/models", ("data", 0, "id"))}
DEFAULT_MODEL = {"triton": "ensemble"}


class CannotBringAboutError(Exception):
    """A state or a value cannot be had of this engine; the text says why."""


@dataclass
class EngineStates:
    """The states of one engine.

    Attributes:
        model: its name; None = the engine is asked, or the engine's usual one.
        state_url: takes `POST {"state", "params", "action": "setup" | "teardown"}`, as pact verifiers send it; the
            values of the answer's JSON object are used in the request.
        holds: further states that hold already.
    """

    engine: str
    url: str
    model: str | None = None
    state_url: str | None = None
    holds: frozenset[str] = frozenset()
    api_key: str | None = None
    _asked: dict[str, Any] = field(default_factory=dict)

    def set_up(self, state: str) -> Mapping[str, str]:
        """Bring a state about.

        Returns:
            Values that it gives.

        Raises:
            CannotBringAboutError: it cannot be.
        """
        if state in HOLDS | self.holds:
            return {}
        if self.state_url is None:
            raise CannotBringAboutError(
                f'"{state}" cannot be brought about on a running engine: give an address that does it with '
                f"--state-url, or say that it is so with --holds"
            )
        return self._change(state, "setup")

    def tear_down(self, state: str) -> None:
        """End a state that `set_up` has brought about."""
        if self.state_url is not None and state not in HOLDS | self.holds:
            self._change(state, "teardown")

    def value(self, name: str) -> str:
        """What `${name}` of a request is on this engine.

        Raises:
            CannotBringAboutError: nobody knows.
        """
        match name:
            case "model":
                return self.model or DEFAULT_MODEL.get(self.engine) or self._told("model", "--model NAME", MODELS)
            case "too_long_prompt":
                # A word is at least one token: twice the context, and some for those that merge.
                return "one two " * (int(self._told("context", "its context", CONTEXT)) + 8)
        raise CannotBringAboutError(f"the request needs ${{{name}}}, which is not known")

    def _change(self, state: str, action: str) -> Mapping[str, str]:
        body = {"state": state, "params": {}, "action": action}
        try:
            answer = httpx.post(str(self.state_url), json=body, timeout=ANSWER_S, trust_env=False)
        except httpx.HTTPError as error:
            raise CannotBringAboutError(f"{self.state_url} does not answer: {type(error).__name__}") from None
        if not answer.is_success:
            raise CannotBringAboutError(f'{self.state_url} answered {answer.status_code} to "{state}"')
        values = parsed(answer.content)
        return {str(key): str(value) for key, value in values.items()} if isinstance(values, dict) else {}

    def _told(self, what: str, wanted: str, places: Mapping[str, tuple[str, tuple[str | int, ...]]]) -> str:
        """What the engine itself says."""
        if what not in self._asked:
            path, keys = places[self.engine]
            self._asked[what] = _member(self._json(path), keys)
        if self._asked[what] is None:
            raise CannotBringAboutError(f"{self.url}{places[self.engine][0]} does not tell {wanted}")
        return str(self._asked[what])

    def _json(self, path: str) -> Any:
        headers = {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}
        try:
            return parsed(httpx.get(self.url + path, headers=headers, timeout=ANSWER_S, trust_env=False).content)
        except httpx.HTTPError:
            return None


def _member(value: Any, keys: tuple[str | int, ...]) -> Any:
    for key in keys:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return None
    return value

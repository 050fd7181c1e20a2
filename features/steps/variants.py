"""Valid tasks that differ in one thing, by the name that features give them. Data, no steps."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from features.steps.world import PROMPT, World
from harness.outcome import NotApplicableError

Changes = Mapping[str, Any]

ENGINES = ("llamacpp", "vllm", "tgi", "triton")
WORKLOADS: Mapping[str, Changes] = {
    "embedding": {"prompt": None, "inputs": ["one"]},
    "rerank": {"prompt": None, "inputs": ["one", "two"]},
}
ALL_PLANES = "na\u00efve \u20acuro \u6c34 \U0001f999 \u2028 \u202e end"


def variant(world: World, name: str) -> dict[str, Any]:
    """The changes of a variant, for this server."""
    return dict(VARIANTS[name](world))


def _unserved_engine(world: World) -> Changes:
    return {"engine": _first(ENGINES, (row["engine"] for row in _rows(world)))}


def _unserved_workload(world: World) -> Changes:
    workload = _first(tuple(WORKLOADS), (w for row in _rows(world) for w in row["supported_workloads"]))
    return {"workload": workload, **WORKLOADS[workload]}


def _rows(world: World) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = world.target.capabilities()["engines"]
    return rows


def _first(names: Iterable[str], served: Iterable[str]) -> str:
    taken = set(served)
    found = next((name for name in names if name not in taken), None)
    if found is None:
        raise NotApplicableError(f"this server serves all of {', '.join(names)}")
    return found


VARIANTS: Mapping[str, Callable[[World], Changes]] = {
    "ctx-above-the-limit": lambda _: {"ctx": 2**31 - 1},
    "max-tokens-above-ctx": lambda world: {"max_tokens": world.service.ctx_max + 1},
    "a-prompt-above-ctx": lambda world: {"prompt": "one two three " * world.service.ctx_max},
    "a-model-nobody-serves": lambda _: {"model_ref": "nobody/serves-this"},
    "an-engine-nobody-serves": _unserved_engine,
    "a-workload-nobody-serves": _unserved_workload,
    "another-sampler-profile": lambda _: {"sampler_profile_version": "nobody-has-this"},
    "inputs-of-one-text": lambda _: {"prompt": None, "inputs": [PROMPT]},
    "the-pool's-profile": lambda world: {
        "sampler_profile_version": world.service.features.get("sampler_profile_version")
    },
    "every-optional-field": lambda _: {
        "seed": 1,
        "expected_tokens": 4,
        "determinism": "best_effort",
        "kv_hint": "reuse",
        "on_disconnect": "continue",
        "label": "nobody-has-this",
    },
    "a-negative-seed": lambda _: {"seed": -1},
    "the-largest-seed": lambda _: {"seed": 2**63 - 1},
    "text-of-all-planes": lambda _: {"prompt": ALL_PLANES},
}

"""Whether a server serves a real engine, by what it says of itself.

Source: ORCH-3051 (`REQUIRE_REAL_LLAMA=1` forbids stand-ins), ORCH-3058, OC-TEST-7010.
"""

import os
from typing import Any

REQUIRE_ENV = "REQUIRE_REAL_LLAMA"
REQUIRE_ENGINE_ENV = "REQUIRE_REAL_ENGINE"


def is_real_required() -> bool:
    """The run must be on a real engine."""
    return required_engine() is not None


def required_engine() -> str | None:
    """The engine that the run must be on, by its name; None where any will do."""
    if named := os.environ.get(REQUIRE_ENGINE_ENV):
        return named
    return "llamacpp" if os.environ.get(REQUIRE_ENV, "") not in ("", "0") else None


def why_not_required(capabilities: Any) -> str | None:
    """Why this server does not do for a run that requires a real engine; None where it does, or where none is."""
    wanted = os.environ.get(REQUIRE_ENGINE_ENV)
    if not is_real_required():
        return None
    if (why := why_stand_in(capabilities)) is not None:
        return f"{REQUIRE_ENGINE_ENV if wanted else REQUIRE_ENV} forbids stand-ins, and this is one: {why}"
    served = {str(engine.get("engine")) for engine in capabilities["engines"]}
    if wanted and wanted not in served:
        return f"{REQUIRE_ENGINE_ENV} wants {wanted}, and this serves {', '.join(sorted(served))}"
    return None


def why_stand_in(capabilities: Any) -> str | None:
    """Why this server's engines cannot be taken for real ones; None when they can."""
    engines = capabilities.get("engines") if isinstance(capabilities, dict) else None
    if not isinstance(engines, list) or not engines:
        return "it names no engine"
    for engine in engines:
        version, features = str(engine.get("engine_version", "")), engine.get("features") or {}
        if not version:
            return f"{engine.get('engine')} names no engine_version"
        if version.startswith("mock-"):
            return f"{engine.get('engine')} {version} is a mock"
        if features.get("stand_in"):
            return f"{engine.get('engine')} {version} says that it is a stand-in"
    return None

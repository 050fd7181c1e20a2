"""Whether a server serves a real engine, by what it says of itself.

Source: ORCH-3051 (`REQUIRE_REAL_LLAMA=1` forbids stand-ins), ORCH-3058.
"""

import os
from typing import Any

REQUIRE_ENV = "REQUIRE_REAL_LLAMA"


def is_real_required() -> bool:
    """The run must be on a real engine."""
    return os.environ.get(REQUIRE_ENV, "") not in ("", "0")


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

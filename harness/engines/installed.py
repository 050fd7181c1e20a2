"""What is installed, asked of `python -m reference_server engines list --json`: the harness knows no cache folder.

Source: ORCH-3051.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from harness.target import CannotRunError

LIST = (sys.executable, "-m", "reference_server", "engines", "list", "--json")
LIST_S = 60.0


def listed() -> dict[str, list[dict[str, Any]]]:
    """The manifests of all installs, as `{"engines": […], "models": […]}`.

    Raises:
        CannotRunError: they cannot be listed.
    """
    done = subprocess.run(LIST, capture_output=True, text=True, timeout=LIST_S, check=False)
    try:
        found = json.loads(done.stdout)
        return {kind: [dict(entry) for entry in found[kind]] for kind in ("engines", "models")}
    except (ValueError, KeyError, TypeError):
        raise CannotRunError(f"{' '.join(LIST)} failed: {done.stderr.strip() or done.stdout.strip()}") from None


def installed_engine(engine: str) -> Mapping[str, str]:
    """The manifest of an engine, the last that is listed.

    Raises:
        CannotRunError: it is not installed; the text says how to get it.
    """
    found = [entry for entry in listed()["engines"] if entry.get("engine") == engine]
    if not found:
        model = " --with-model" if engine == "llamacpp" else ""  # vLLM's and Triton's come with them
        raise CannotRunError(f"no {engine} is installed; install it with: llama-orch engines install {engine}{model}")
    return found[-1]

"""Loads the plugins that a configuration names.

Source: ORCH-3048, OC-POLICY-4001.
"""

from collections.abc import Iterable
from pathlib import Path

from reference_server.config import Plugin as Named
from reference_server.policy.hooks import Hooked, Policies
from reference_server.policy.plugin import Bounds, PluginRefusedError


def load(named: Iterable[Named]) -> Policies:
    """All of them, ready to be asked.

    Raises:
        PluginRefusedError: one cannot be loaded; the text names it.
    """
    return Policies(_hooked(one) for one in named)


def _hooked(named: Named) -> Hooked:
    from reference_server.policy.sandbox import Plugin  # a server without plugins loads no WebAssembly runtime

    bounds = Bounds(fuel=named.fuel, memory_bytes=named.memory_bytes, wall_ms=named.wall_ms)
    try:
        return Hooked(named.id, Plugin(Path(named.file).read_bytes(), bounds), frozenset(named.hooks))
    except (OSError, PluginRefusedError) as error:
        raise PluginRefusedError(f"policy plugin {named.id} ({named.file}): {error}") from None

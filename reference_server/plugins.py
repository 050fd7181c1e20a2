"""Loads the plugins that a configuration names.

Source: ORCH-3048, OC-POLICY-4001, OC-POLICY-4031, OC-POLICY-4035.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from reference_server.config import Plugin as Named
from reference_server.config import PluginFetch
from reference_server.policy.hooks import Hooked, Policies
from reference_server.policy.plugin import Bounds, PluginRefusedError

if TYPE_CHECKING:
    from reference_server.policy.fetch import FetchTool


def load(named: Iterable[Named], *, secrets: Iterable[str] = ()) -> Policies:
    """All of them, ready to be asked.

    Args:
        secrets: what the server knows to be one, and no plugin is told.

    Raises:
        PluginRefusedError: one cannot be loaded; the text names it.
    """
    known = tuple(secrets)
    return Policies(_hooked(one, known) for one in named)


def _hooked(named: Named, secrets: tuple[str, ...]) -> Hooked:
    from reference_server.policy.sandbox import Plugin  # a server without plugins loads no WebAssembly runtime

    bounds = Bounds(fuel=named.fuel, memory_bytes=named.memory_bytes, wall_ms=named.wall_ms)
    try:
        plugin = Plugin(Path(named.file).read_bytes(), bounds)
    except (OSError, PluginRefusedError) as error:
        raise PluginRefusedError(f"policy plugin {named.id} ({named.file}): {error}") from None
    tool = _tool(named.fetch, secrets) if named.fetch.allow else None
    return Hooked(named.id, plugin, frozenset(named.hooks), tool)


def _tool(rules: PluginFetch, secrets: tuple[str, ...]) -> "FetchTool":
    from reference_server.domain.throttle import Throttle  # and one whose plugins fetch nothing loads no HTTP client
    from reference_server.policy.fetch import FetchTool
    from reference_server.policy.fetch_rules import FetchRules
    from reference_server.policy.redaction import Redactor
    from reference_server.provision import network

    return FetchTool(
        FetchRules(
            allow=rules.allow,
            deny=rules.deny,
            mime_allow=rules.mime_allow,
            mime_deny=rules.mime_deny,
            body_bytes_max=rules.body_bytes_max,
            timeout_ms=rules.timeout_ms,
        ),
        admit=network.going_out,
        rate=Throttle(rules.per_minute / 60, rules.burst),
        redactor=Redactor(rules.redact, values=secrets),
    )

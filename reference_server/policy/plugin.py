"""What is known of policy plugins without the sandbox that runs them: the ABI, bounds, and what can go wrong.

Apart from it, because a server without plugins loads no WebAssembly runtime: that is a tenth of its start.

Source: ORCH-3048, OC-POLICY-4010, OC-POLICY-4011.
"""

from dataclasses import dataclass

import msgspec

ABI = (1, 1)


class PluginError(Exception):
    """Base of what a plugin can do wrong. The text names no value of a document."""


class PluginRefusedError(PluginError):
    """A module that is not loaded: no WebAssembly, another ABI, or imports that the sandbox does not give."""


class PluginFailedError(PluginError):
    """A call that trapped, exceeded a bound, or did not answer in the ABI. It cost itself only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Of one call.

    Attributes:
        fuel: instructions, about.
        memory_bytes: of its linear memory.
        wall_ms: until it is interrupted.
    """

    fuel: int = 10_000_000
    memory_bytes: int = 16 * 1024 * 1024
    wall_ms: int = 200


class Description(msgspec.Struct, frozen=True):
    """What a plugin says of itself."""

    name: str
    version: str

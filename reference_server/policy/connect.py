"""Opens the connection that the policy has allowed: to the very address that was judged, looked up once.

    rules, by name → plugins → look-up → rules, by addresses → connection

Plugins come after the rules by name: what those refuse wakes no plugin, so a flood of it costs none of their time. They
come before the look-up: a name that they refuse is told to no resolver. And the rules by addresses come last, so that
nothing that a plugin says can widen them.

Source: ORCH-3048, ORCH-3080, OC-POLICY-4042, OC-POLICY-4046.
"""

import socket
from collections.abc import Callable, Sequence
from dataclasses import replace

from reference_server.policy.outbound import Decision, Request, Snapshot, decide, refused_by_plugin

CONNECT_S = 10.0  # for one address; an unreachable one must not hold a fetch for minutes
IDLE_S = 120.0  # neither side says anything

Ask = Callable[[Request], str | None]
"""Why plugins refuse a connection, or None. Blocks, within their bounds; called from several threads."""

Resolve = Callable[[str, int], Sequence[str]]
Record = Callable[[Request, Decision], None]


class RefusedConnectionError(Exception):
    """The policy refuses; the decision says why."""

    def __init__(self, decision: Decision) -> None:
        super().__init__(decision.text)
        self.decision = decision


def addresses_of(host: str, port: int) -> list[str]:
    """What the system's resolver says. Raises `OSError`: the name is not known."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[4][0]) for address in found))


def no_plugin(request: Request) -> str | None:
    """Of whoever has no plugins."""
    del request
    return None


def connect(
    request: Request, snapshot: Snapshot, *, resolve: Resolve, record: Record, ask: Ask = no_plugin
) -> socket.socket:
    """Judge by name, ask the plugins, look up, judge by addresses, and connect to one of those that were judged.

    Args:
        record: told of the decision that counts.

    Raises:
        RefusedConnectionError: the policy refuses.
        OSError: the name is not known, or no address answers.
    """
    decision = _by_name(request, snapshot, ask)
    try:
        if decision.is_open:
            request = replace(request, addresses=tuple(resolve(request.host, request.port)))
            decision = decide(request, snapshot) if decision.is_allowed else decision
    finally:
        record(request, decision)
    if not decision.is_open:
        raise RefusedConnectionError(decision)
    return _first_answering(request)


def _by_name(request: Request, snapshot: Snapshot, ask: Ask) -> Decision:
    decision = decide(request, snapshot)
    if decision.is_allowed and (why := ask(request)) is not None:
        return refused_by_plugin(request, snapshot, why)
    return decision


def _first_answering(request: Request) -> socket.socket:
    """Connect by address: no name goes to the system from here, so no second answer can come back."""
    last: OSError = OSError(f"{request.host} has no address")
    for address in request.addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        made = socket.socket(family, socket.SOCK_STREAM)
        try:
            made.settimeout(CONNECT_S)
            made.connect((address, request.port))
            made.settimeout(IDLE_S)
        except OSError as error:
            made.close()
            last = error
        else:
            return made
    raise last

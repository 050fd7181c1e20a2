"""Opens the connection that the policy has allowed: to the very address that was judged, looked up once.

Source: ORCH-3080, OC-POLICY-4042.
"""

import socket
from collections.abc import Callable, Sequence
from dataclasses import replace

from reference_server.policy.outbound import Decision, Request, Snapshot, decide

CONNECT_S = 10.0  # for one address; an unreachable one must not hold a fetch for minutes
IDLE_S = 120.0  # neither side says anything

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


def connect(request: Request, snapshot: Snapshot, *, resolve: Resolve, record: Record) -> socket.socket:
    """Judge by name, look up, judge by addresses, and connect to one of those that were judged.

    Args:
        record: told of the decision that counts.

    Raises:
        RefusedConnectionError: the policy refuses.
        OSError: the name is not known, or no address answers.
    """
    by_name = decide(request, snapshot)
    if not by_name.is_open:
        record(request, by_name)
        raise RefusedConnectionError(by_name)
    located = replace(request, addresses=tuple(resolve(request.host, request.port)))
    by_address = decide(located, snapshot)
    record(located, by_address)
    if not by_address.is_open:
        raise RefusedConnectionError(by_address)
    return _first_answering(located)


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

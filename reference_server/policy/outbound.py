"""The outbound policy: whether a connection may leave this host. Pure: a request and a snapshot in, a decision out.

A connection is asked about twice: by its name, before that is even looked up, and again with the addresses it has. The
rules are gone through in the order in which they stand here, and the first that refuses is the reason:

    off-switch → scheme → deny list → allow list (binding in strict mode) → addresses inside the host or its network

A plugin has its say on what the rules allow by name (`connect`): one more refusal, under the same off-switch and in the
same shadow mode.

Source: ORCH-3080, ORCH-3205, OC-POLICY-4040 … 4046.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Rule = Literal["allowed", "off", "scheme", "denied", "not-allowed", "private-address", "plugin"]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# What lies inside the host or the network it stands in, or is no single host: RFC 6890 and its registries. The networks
# of documentation (RFC 5737, RFC 3849) are nobody's, so nothing is lost by leaving them out.
_INSIDE = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4"),
        *("::/128", "::1/128", "64:ff9b:1::/48", "100::/64", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"),
    )
)
_TRANSLATED = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::ffff:0:0:0/96"))  # NAT64, SIIT
_V4_COMPATIBLE = ipaddress.IPv6Network("::/96")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One connection that somebody wants to open.

    Attributes:
        purpose: what for, in a word: `model`, `engine`, `package` …
        scheme: `http` or `https`; what else runs through a tunnel counts as `https`.
        host: lower case, without brackets or a dot at the end; a name or an address.
        addresses: what the name was found to have; empty = not looked up yet.
    """

    purpose: str
    scheme: str
    host: str
    port: int
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The rules as they stand at one moment. Patterns: `host`, `*.host`, `host:port`, `*`, or a network `10.0.0.0/8`.

    Attributes:
        is_on: False = nothing goes out, in shadow mode neither.
        is_strict: only what `allow` names goes out.
        is_shadow: what the rules refuse is logged, and goes out.
        private: hosts that may have addresses inside the host or its network.
        set_up: `host:port` of mirrors that the operator set tools up with (pip's index): private and plain http too.
    """

    is_on: bool = True
    is_strict: bool = False
    is_shadow: bool = False
    schemes: tuple[str, ...] = ("https",)
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    private: tuple[str, ...] = ()
    set_up: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """What the policy says.

    Attributes:
        is_open: the connection may be made: it is allowed, or the policy only watches.
        text: why, for people; names no path, query or credential.
    """

    is_allowed: bool
    is_open: bool
    rule: Rule
    text: str


def decide(request: Request, snapshot: Snapshot) -> Decision:
    """Whether this connection may be made."""
    found = _refusal(request, snapshot)
    if found is None:
        return Decision(is_allowed=True, is_open=True, rule="allowed", text=f"{_place(request)} is allowed")
    rule, why = found
    is_open = snapshot.is_shadow and rule != "off"
    return Decision(is_allowed=False, is_open=is_open, rule=rule, text=f"{_place(request)} is refused: {why}")


def refused_by_plugin(request: Request, snapshot: Snapshot, why: str) -> Decision:
    """What a plugin's refusal comes to: none in shadow mode, which only watches."""
    text = f"{_place(request)} is refused: {why}"
    return Decision(is_allowed=False, is_open=snapshot.is_shadow, rule="plugin", text=text)


def _refusal(request: Request, snapshot: Snapshot) -> tuple[Rule, str] | None:
    if not snapshot.is_on:
        return "off", "outbound traffic is switched off, by `outbound.enabled` or LLAMA_ORCH_OFFLINE"
    is_set_up = matches(request, snapshot.set_up)
    if request.scheme not in snapshot.schemes and not is_set_up:
        allowed = ", ".join(snapshot.schemes) or "none"
        return (
            "scheme",
            f"{request.scheme} is not among the allowed schemes ({allowed}); `outbound.schemes` can allow it",
        )
    if matches(request, snapshot.deny):
        return "denied", "the deny list, `outbound.deny`, names it"
    if snapshot.is_strict and not matches(request, snapshot.allow):
        return "not-allowed", "in strict mode only what `outbound.allow` names goes out"
    inside = [text for text in request.addresses if is_inside(text)]
    if inside and not matches(request, (*snapshot.private, *snapshot.set_up)):
        return "private-address", f"{inside[0]} lies inside this host or its network; `outbound.private` can allow it"
    return None


def is_inside(text: str) -> bool:
    """Whether an address is this host's own or its network's, however it is written; what is none counts as inside."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return True
    return any(one in network for one in _meanings(address) for network in _INSIDE if one.version == network.version)


def _meanings(address: Address) -> Iterable[Address]:
    """The address, and the IPv4 address that it carries: mapped, compatible, 6to4, Teredo or translated."""
    yield address
    if isinstance(address, ipaddress.IPv4Address):
        return
    carried = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if any(address in network for network in _TRANSLATED) or (address in _V4_COMPATIBLE and int(address) > 1):
        carried.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    yield from (one for one in carried if one is not None)


def matches(request: Request, patterns: Iterable[str]) -> bool:
    """Whether any of these patterns means where the request goes."""
    return any(_matches_one(request, pattern.lower()) for pattern in patterns)


def _matches_one(request: Request, pattern: str) -> bool:
    if pattern == "*":
        return True
    if "/" in pattern:
        return any(_lies_in(text, pattern) for text in (*request.addresses, request.host))
    name, port = split(pattern)
    if port is not None and port != request.port:
        return False
    if name.startswith("*."):
        return request.host.endswith(name[1:])
    return name in {request.host, *request.addresses}


def _lies_in(text: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(text) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def split(pattern: str) -> tuple[str, int | None]:
    """`host`, `host:port`, `[::1]:port` or `::1` in its parts."""
    if pattern.startswith("["):
        name, _, rest = pattern[1:].partition("]")
        return name, int(rest[1:]) if rest[1:].isdecimal() else None
    name, colon, port = pattern.rpartition(":")
    if colon and ":" not in name and port.isdecimal():
        return name, int(port)
    return pattern, None


def host_of(text: str) -> str:
    """A host as rules see it: lower case, as DNS carries it, without brackets or the dot at its end.

    Raises:
        ValueError: it can be no host.
    """
    bare = text.strip("[]").rstrip(".").lower()
    if not bare or len(bare) > 253 or any(character.isspace() or character in "/\\@#?" for character in bare):
        raise ValueError(f"{text!r} is no host")
    return bare if bare.isascii() else bare.encode("idna").decode("ascii")


def _place(request: Request) -> str:
    host = f"[{request.host}]" if ":" in request.host else request.host
    return f"{request.scheme}://{host}:{request.port}"

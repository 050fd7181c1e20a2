"""The allow-list of Host and Origin: a page in a browser cannot reach the server under a name of its own.

With DNS rebinding a page's own name points at 127.0.0.1; the browser then takes the server for the page's, and only
the `Host` that it sends tells the difference. Without a token these names are let in: loopback addresses, `localhost`,
the configured host, and `http.allowed_hosts`. With a token a stranger's page has none, so that any name is let in until
`http.allowed_hosts` names some.

Source: OC-CTRL-2044; RFC 9110, 7.2 (Host); RFC 6454, 7 (Origin).
"""

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from reference_server.web.errors import EdgeError


def known_hosts(names: Iterable[str]) -> Middleware:
    """A middleware that refuses requests under a name that is neither loopback nor one of these, with 403 FORBIDDEN."""
    known = {name.lower().strip("[]") for name in names} | {"localhost"}

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        sent = request.headers.getall("Host", [])
        origins = request.headers.getall("Origin", [])
        if len(sent) > 1 or not all(_is_known(_host(f"//{host}"), known) for host in sent):
            raise EdgeError("FORBIDDEN", "this Host is not served here; the operator allows it in http.allowed_hosts")
        if not all(_is_known(_host(origin), known) for origin in origins):
            raise EdgeError("FORBIDDEN", "this Origin is not allowed; the operator allows it in http.allowed_hosts")
        return await handler(request)

    return check


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _is_known(host: str | None, known: set[str]) -> bool:
    if host is None:
        return False
    try:
        return ipaddress.ip_address(host).is_loopback or host in known
    except ValueError:
        return host.rstrip(".") in known

"""Clients of others, pointed at the gateway and at nothing else: what the environment says of proxies does not count.

Source: ORCH-3080, OC-POLICY-4043, OC-POLICY-4044, OC-POLICY-4047.
"""

import logging
import os
import ssl
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import certifi

from reference_server.policy.gateway import Pass

if TYPE_CHECKING:
    import httpx
    import requests

logging.getLogger("httpx").setLevel(logging.WARNING)  # below, it logs whole addresses, with what is secret in them
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
_CA_FILES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def http_client(
    held: Pass, *, follow_redirects: bool = False, on_request: Sequence["Callable[[httpx.Request], None]"] = ()
) -> "httpx.Client":
    """An httpx client; credentials stay behind when a redirect leaves their origin (httpx's own rule)."""
    import httpx  # here: a server that fetches nothing does not load it

    return httpx.Client(
        proxy=held.proxy_url,
        trust_env=False,
        verify=tls_context(),
        timeout=httpx.Timeout(connect=30, read=60, write=60, pool=60),
        follow_redirects=follow_redirects,
        event_hooks={"request": list(on_request)},
    )


def async_http_client(held: Pass, tls: ssl.SSLContext, *, timeout_s: float) -> "httpx.AsyncClient":
    """The same, in an event loop; no redirects. The timeout is of single reads; the caller bounds the whole."""
    import httpx

    return httpx.AsyncClient(proxy=held.proxy_url, trust_env=False, verify=tls, timeout=timeout_s)


def requests_session(session: "requests.Session", held: Pass) -> "requests.Session":
    """Point a session at the gateway."""
    session.trust_env = False
    session.proxies = {"http": held.proxy_url, "https": held.proxy_url}
    session.verify = ca_file()
    return session


def environment(held: Pass) -> dict[str, str]:
    """Variables for a program (pip, git), beside ours: the gateway is its only proxy, for every host."""
    return dict.fromkeys((*_PROXIES, "PIP_PROXY"), held.proxy_url) | {"NO_PROXY": "", "no_proxy": ""}


def unused_proxies() -> str | None:
    """What to tell an operator who has set up a proxy in the environment; None where there is none. Holds no value."""
    names = [name for name in _PROXIES if os.environ.get(name)]
    if not names:
        return None
    return (
        f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} set and not used: the outbound policy connects to "
        "the address that it has judged, and a proxy would choose another; let this host connect directly, or name a "
        "mirror that it reaches (HF_ENDPOINT, AWS_ENDPOINT_URL, PIP_INDEX_URL)"
    )


def tls_context() -> ssl.SSLContext:
    """The system's authorities, and those of certifi where the system has none."""
    context = ssl.create_default_context()
    context.load_verify_locations(ca_file())
    return context


def ca_file() -> str:
    """The operator's file of authorities, else certifi's."""
    return next((os.environ[name] for name in _CA_FILES if os.environ.get(name)), certifi.where())

"""The authorities that the harness trusts, read once: httpx reads them anew for every client, which takes 50 ms."""

import ssl
from functools import cache

import httpx


@cache
def tls() -> ssl.SSLContext:
    """For every client of this process."""
    return httpx.create_ssl_context(trust_env=False)

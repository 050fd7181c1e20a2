"""`https:` models: one file of a web server, from any byte on where the server has ranges. No credentials are sent.

Source: ORCH-3090, OC-POLICY-4043.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager

import httpx

from reference_server.policy.clients import http_client
from reference_server.policy.gateway import Pass
from reference_server.provision.errors import ProvisionError
from reference_server.provision.reference import Reference
from reference_server.provision.sources.offer import Offer


@contextmanager
def offer(reference: Reference, held: Pass) -> Iterator[Offer]:
    """What the server says of the file."""
    url = reference.parts["url"]
    with http_client(held, follow_redirects=True) as client:
        size = size_of(client, url)
        yield Offer(reference.name, size, None, lambda start: read(client, url, start))


def size_of(client: httpx.Client, url: str) -> int | None:
    """Of a file, in bytes; None where the server does not tell before it is asked for the file."""
    try:
        answer = client.head(url, headers={"Accept-Encoding": "identity"})
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _unreachable(error) from error
    length = answer.headers.get("Content-Length", "")
    return int(length) if answer.is_success and length.isdecimal() else None


def read(
    client: httpx.Client, url: str, start: int, headers: Mapping[str, str] | None = None
) -> Iterator[bytes] | None:
    """The bytes from `start` on; None when the server does not serve ranges."""
    wanted = {**(headers or {}), "Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    try:
        answer = client.send(client.build_request("GET", url, headers=wanted), stream=True)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _unreachable(error) from error
    if answer.status_code == 416 or (start and answer.status_code == 200):
        answer.close()
        return iter(()) if answer.status_code == 416 else None
    if answer.status_code not in {200, 206}:
        answer.close()
        raise ProvisionError(f"the source answers with status {answer.status_code}")
    return _chunks(answer)


def _unreachable(error: Exception) -> ProvisionError:
    """Of an address that is none the text is about its host alone; others may quote what is secret in an address."""
    why = str(error) if isinstance(error, httpx.InvalidURL) else type(error).__name__
    return ProvisionError(f"the source cannot be reached: {why}")


def _chunks(answer: httpx.Response) -> Iterator[bytes]:
    try:
        with closing(answer):
            yield from answer.iter_raw()
    except httpx.HTTPError as error:
        raise ProvisionError(f"the download broke off ({type(error).__name__}); fetch again to go on") from error

"""Where a scrape comes from: a URL, a file, or standard input; bounded, and judged by nobody yet."""

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

import httpx

BYTES_MAX = 64 * 2**20  # a hundred times what a full contract at its budgets of one busy machine takes
LINE_BYTES_MAX = 64 * 2**10  # readers of OpenMetrics take time by the square of it; a line of ours has 300 bytes
ANSWER_S = 10.0  # Prometheus' default scrape timeout
PROMETHEUS, OPENMETRICS = "text/plain; version=0.0.4", "application/openmetrics-text; version=1.0.0"

Format = Literal["auto", "prometheus", "openmetrics"]


class SourceError(Exception):
    """There is nothing to judge; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Text:
    """What a source gave.

    Attributes:
        name: for reports: the path, the URL without credentials, or `stdin`.
    """

    name: str
    content: bytes
    is_openmetrics: bool


def shown(source: str) -> str:
    """The source as reports may show it: without the credentials of a URL, and as Unicode whatever a path holds."""
    readable = source.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return re.sub(r"^(https?://)[^/?#]*@", r"\1", readable)


def is_url(source: str) -> bool:
    """Whether it can be scraped again."""
    return source.startswith(("http://", "https://"))


def read(source: str, *, format_: Format = "auto", token: str | None = None) -> Text:
    """Read a source once.

    Args:
        source: a URL (without a path: `/metrics`), a path, or `-`.
        token: sent as a bearer token; never along a redirect, for none is followed.

    Raises:
        SourceError: there is none, it refuses, or it is over `BYTES_MAX` or `LINE_BYTES_MAX`.
    """
    if is_url(source):
        return _scraped(source, format_, token)
    name = "stdin" if source == "-" else shown(source)
    try:
        if source == "-":
            content = sys.stdin.buffer.read(BYTES_MAX + 1)
        else:
            with Path(source).open("rb") as file:
                content = file.read(BYTES_MAX + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise SourceError(f"{source!r} cannot be read: {error}") from None
    content = _bounded([content], name)
    looks_open = content.rstrip(b"\n").endswith(b"# EOF")
    return Text(name, content, is_openmetrics=format_ == "openmetrics" or (format_ == "auto" and looks_open))


def _scraped(source: str, format_: Format, token: str | None) -> Text:
    try:
        url = httpx.URL(_with_path(source))
        name = shown(str(url))
        accept = OPENMETRICS if format_ == "openmetrics" else PROMETHEUS
        headers = {"Accept": accept, **({"Authorization": f"Bearer {token}"} if token else {})}
        # trust_env: a proxy of the environment must not stand between the lint and the server it judges
        with httpx.Client(timeout=ANSWER_S, follow_redirects=False, trust_env=False) as client:  # noqa: SIM117
            with client.stream("GET", url, headers=headers) as answer:
                if answer.status_code != 200:
                    raise SourceError(_why_refused(name, answer.status_code))
                content = _bounded(answer.iter_bytes(), name)
                spoken = answer.headers.get("content-type", "")
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise SourceError(f"{shown(source)} does not answer: {error}. Is the server running?") from None
    is_openmetrics = format_ == "openmetrics" or (format_ == "auto" and spoken.startswith("application/openmetrics"))
    return Text(name, content, is_openmetrics=is_openmetrics)


def _with_path(source: str) -> str:
    parts = urlsplit(source)
    return urlunsplit(parts._replace(path="/metrics")) if parts.path in ("", "/") else source


def _bounded(parts: Iterable[bytes], name: str) -> bytes:
    kept = bytearray()
    for part in parts:
        kept += part
        if len(kept) > BYTES_MAX:
            raise SourceError(f"{name} is over {BYTES_MAX // 2**20} MiB: no Prometheus would scrape that in time")
    if max(map(len, kept.split(b"\n"))) > LINE_BYTES_MAX:
        raise SourceError(f"{name} has a line of over {LINE_BYTES_MAX // 2**10} KiB: no series needs one")
    return bytes(kept)


def _why_refused(name: str, status: int) -> str:
    if status in (401, 403):
        return f"{name} refuses the token ({status}): name the variable that holds it with --token-env"
    return f"{name} answered {status}, not 200: is it the address of the metrics?"

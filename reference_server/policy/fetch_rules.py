"""The rules of the mediated fetch, without any I/O: which addresses may be asked, and which answers handed out.

Domains are patterns of `outbound`; MIME types are `type/subtype`, `type/*` or `*/*`.

Source: OC-POLICY-4030, OC-POLICY-4033, OC-POLICY-4035, OC-POLICY-4036.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import httpx

from reference_server.policy.gateway import DEFAULT_PORTS
from reference_server.policy.outbound import Request, host_of, matches

TOOL = (1, 0)
TOOL_VERSION = f"{TOOL[0]}.{TOOL[1]}"
URL_LENGTH_MAX = 2048

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}"  # noqa: S105 - a token of RFC 9110
_MEDIA_TYPE = re.compile(rf"[ \t]*({_TOKEN}/{_TOKEN})[ \t]*(?:;.*)?")
_VERSION = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})")

Outcome = Literal["answered", "refused", "failed"]


class FetchError(Exception):
    """Nothing is handed out. The text names no query and nothing of an answer's body."""

    outcome: Outcome = "failed"


class FetchFailedError(FetchError):
    """The far end did not answer as it should."""


class FetchRefusedError(FetchError):
    """A rule forbids it."""

    outcome = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchRules:
    """What one plugin may have fetched.

    Attributes:
        allow: empty = nothing is fetched.
        body_bytes_max: of an answer; a longer one is none.
        timeout_ms: of the whole fetch.
    """

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    mime_allow: tuple[str, ...] = ("application/json", "text/plain")
    mime_deny: tuple[str, ...] = ()
    body_bytes_max: int = 16 * 1024
    timeout_ms: int = 2_000

    def require_domain(self, target: Request) -> None:
        """Raises `FetchRefusedError`: it lies outside the domains."""
        if not matches(target, self.allow):
            raise FetchRefusedError(f"{target.host}:{target.port} is not among the domains that it may fetch from")
        if matches(target, self.deny):
            raise FetchRefusedError(f"{target.host}:{target.port} is among the domains that it may not fetch from")

    def require_head(self, status: int, headers: Mapping[str, str]) -> str:
        """The MIME type of an answer whose body may be read.

        Raises:
            FetchFailedError: a redirect, or compressed.
            FetchRefusedError: of a type that it may not have, or of none.
        """
        if 300 <= status < 400:
            raise FetchFailedError(f"status {status}, and redirects are not followed")
        if headers.get("Content-Encoding", "identity").strip().lower() != "identity":
            raise FetchFailedError("the answer is compressed, which it was asked not to be")
        mime = media_type_of(headers.get("Content-Type", ""))
        if mime is None:
            raise FetchRefusedError("the answer has no MIME type, or no single one")
        if not mime_matches(mime, self.mime_allow) or mime_matches(mime, self.mime_deny):
            raise FetchRefusedError(f"the answer is {mime}, which is not among the MIME types that it may have")
        return mime


def target_of(url: str) -> tuple[httpx.URL, Request]:
    """An address as it will be asked for, and where that leads: one reading of it for the rules and for the client.

    Raises:
        FetchRefusedError: it is none, or holds credentials.
    """
    if len(url) > URL_LENGTH_MAX or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise FetchRefusedError(f"an address is at most {URL_LENGTH_MAX} printable ASCII characters without blanks")
    try:
        parsed = httpx.URL(url)
        host = host_of(parsed.raw_host.decode("ascii"))  # as it goes out; `host` is written another way
    except (httpx.InvalidURL, ValueError):
        raise FetchRefusedError("that is no address") from None
    if parsed.scheme not in DEFAULT_PORTS or parsed.userinfo:
        raise FetchRefusedError("an address is http or https, without credentials in it")
    port = parsed.port if parsed.port is not None else DEFAULT_PORTS[parsed.scheme]
    if not 0 < port < 65_536:
        raise FetchRefusedError("that is no port")
    return parsed, Request(purpose="fetch", scheme=parsed.scheme, host=host, port=port)


def media_type_of(header: str) -> str | None:
    """`type/subtype` in small letters, without parameters; None where a header holds none, or several."""
    found = _MEDIA_TYPE.fullmatch(header)
    return found[1].lower() if found else None


def mime_matches(mime: str, patterns: tuple[str, ...]) -> bool:
    """Whether any of these patterns means this type."""
    return any(pattern.lower() in {mime, f"{mime.partition('/')[0]}/*", "*/*"} for pattern in patterns)


def require_known(tool: str) -> None:
    """Raises `FetchRefusedError`: another version of the tool is asked for than this one, or none."""
    found = _VERSION.fullmatch(tool)
    if found is None:
        raise FetchRefusedError(f"it names no version of the fetch tool; this is {TOOL_VERSION}")
    if int(found[1]) != TOOL[0] or int(found[2]) > TOOL[1]:
        raise FetchRefusedError(f"it is written for fetch tool {tool}, and this is {TOOL_VERSION}")

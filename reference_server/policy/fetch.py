"""The mediated fetch: a plugin names an address, and the host gets it for the plugin, within what its operator allows.

    version → address → domains → rate → gateway (`outbound` rules, plugins) → status → MIME type → size → redaction

A fetch is one GET of one address, without credentials, redirects or compression, and has one deadline. Whatever comes
of it is told: an answer, a refusal by a rule, or a failure. Each fetch is a line in the audit log, and nothing is
handed out before that line is written.

Source: OC-POLICY-4030 … 4036.
"""

import asyncio
import logging
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property

import httpx
import msgspec
import structlog

from reference_server.domain.throttle import Throttle
from reference_server.policy.clients import async_http_client, tls_context
from reference_server.policy.fetch_rules import (
    TOOL_VERSION,
    FetchError,
    FetchFailedError,
    FetchRefusedError,
    FetchRules,
    Outcome,
    require_known,
    target_of,
)
from reference_server.policy.gateway import Pass
from reference_server.policy.redaction import Redactor

TEXT_BYTES_MAX = 40 * 1024  # of an answer as JSON, whose escapes take room; a document has 64 KiB in all
CHUNK_BYTES = 4096


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a fetch, as a plugin is told.

    Attributes:
        tool: the version of this shape.
        reason: of a refusal or a failure.
        status, mime, body: of an answer; the body is text, without secrets.
    """

    tool: str = TOOL_VERSION
    outcome: Outcome
    reason: str = ""
    status: int | None = None
    mime: str = ""
    body: str = ""


@dataclass(slots=True)
class _Audit:
    """What the log is told of one fetch.

    Attributes:
        url: without its query; None where it is no address.
    """

    url: str | None = None
    query_bytes: int = 0
    status: int | None = None
    mime: str | None = None
    body_bytes: int = 0
    redactions: int = 0


class FetchTool:
    """Fetches for one plugin."""

    def __init__(
        self,
        rules: FetchRules,
        *,
        admit: Callable[[str], AbstractContextManager[Pass]],
        rate: Throttle,
        redactor: Redactor,
    ) -> None:
        """Fetch by these rules.

        Args:
            admit: gives passes through the gateway, for a purpose.
        """
        self._rules, self._admit, self._rate, self._redactor = rules, admit, rate, redactor
        self._headers = {
            "Accept": ", ".join(rules.mime_allow),
            "Accept-Encoding": "identity",
            "User-Agent": "llama-orch",
        }

    async def fetch(self, *, tool: str, url: str, asker: Mapping[str, object]) -> Fetched:
        """Get `url`, or say why not; raises nothing but what cancels it.

        Args:
            tool: the version that the plugin is written for.
            asker: who asks, for the audit log.
        """
        began, audit = time.perf_counter_ns(), _Audit()
        made = Fetched(outcome="failed", reason="it was given up")
        try:
            made = await self._answer(tool, url, audit)
        except FetchError as error:
            made = Fetched(outcome=error.outcome, reason=str(error))
        finally:
            _log(made, audit, asker, latency_us=(time.perf_counter_ns() - began) // 1000)
        return made

    async def _answer(self, tool: str, url: str, audit: _Audit) -> Fetched:
        require_known(tool)
        parsed, target = target_of(url)
        audit.url, _ = self._redactor.blot(str(parsed.copy_with(query=None, fragment=None)))
        audit.query_bytes = len(parsed.query)
        self._rules.require_domain(target)
        if wait_ms := self._rate.try_take(time.monotonic_ns() // 1_000_000):
            raise FetchRefusedError(f"too many fetches; the next one in {wait_ms} ms")
        raw = await self._get(parsed, audit)
        text, audit.redactions = await asyncio.to_thread(self._redactor.blot, raw.decode("utf-8", "replace"))
        if len(msgspec.json.encode(text)) > TEXT_BYTES_MAX:
            raise FetchRefusedError(f"the answer is larger than {TEXT_BYTES_MAX} bytes when it is written as JSON")
        return Fetched(outcome="answered", status=audit.status, mime=audit.mime or "", body=text)

    async def _get(self, url: httpx.URL, audit: _Audit) -> bytes:
        timeout_s = self._rules.timeout_ms / 1000
        with self._admit("fetch") as held:
            try:
                async with (
                    asyncio.timeout(timeout_s),
                    async_http_client(held, self._tls, timeout_s=2 * timeout_s) as client,
                    client.stream("GET", url, headers=self._headers) as answer,
                ):
                    _require_far_answer(held)
                    audit.status = answer.status_code
                    audit.mime = self._rules.require_head(answer.status_code, answer.headers)
                    return await self._body(answer, audit)
            except TimeoutError:
                raise FetchFailedError(f"there was no whole answer within {self._rules.timeout_ms} ms") from None
            except httpx.HTTPError as error:
                _require_far_answer(held)
                raise FetchFailedError(f"the answer cannot be read ({type(error).__name__})") from None

    async def _body(self, answer: httpx.Response, audit: _Audit) -> bytes:
        """The body, of which never much more than the bound is held."""
        found = bytearray()
        async for chunk in answer.aiter_raw(CHUNK_BYTES):
            found += chunk
            audit.body_bytes = len(found)
            if len(found) > self._rules.body_bytes_max:
                raise FetchRefusedError(f"the answer is larger than {self._rules.body_bytes_max} bytes")
        return bytes(found)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return tls_context()


def _require_far_answer(held: Pass) -> None:
    """Tell what the gateway says from what the far end says."""
    if held.refusals:
        raise FetchRefusedError(f"outbound policy: {held.refusals[-1].text}")
    if held.unreached:
        raise FetchFailedError(held.unreached[-1])


def _log(made: Fetched, audit: _Audit, asker: Mapping[str, object], *, latency_us: int) -> None:
    """The line of one fetch (contracts/logs/fetch.schema.json): neither a query nor anything of the answer's body."""
    structlog.get_logger().log(
        logging.INFO if made.outcome == "answered" else logging.WARNING,
        "plugin fetch",
        **asker,
        tool=TOOL_VERSION,
        url=audit.url,
        query_bytes=audit.query_bytes,
        outcome=made.outcome,
        reason=made.reason,
        status=audit.status,
        mime=audit.mime,
        body_bytes=audit.body_bytes,
        redactions=audit.redactions,
        latency_us=latency_us,
    )

"""Rules of every answer: the correlation id, the error envelope, and the advice that goes with a refusal.

Source: ORCH-2006, ORCH-2007, OC-CTRL-2011, OC-CTRL-2030 … 2032, OC-CTRL-2052.
"""

import math
import uuid
from collections.abc import Iterator
from typing import Any

from harness.checks.violation import Violation
from harness.error_codes import registry
from harness.history import Exchange

CORRELATION_CHARS_MAX = 128


def never_a_defect(exchange: Exchange) -> Iterator[Violation]:
    """No request, however wrong, finds a defect of the server, or ends without an answer."""
    if exchange.status == 0:
        yield Violation("ORCH-2006", "an answer", "the connection ended without one", str(exchange))
    elif exchange.status == 500 or (isinstance(exchange.json, dict) and exchange.json.get("code") == "INTERNAL"):
        yield Violation("ORCH-2006", "an error that is not a defect of the server", f"{exchange.status}", str(exchange))


def correlation_id(exchange: Exchange) -> Iterator[Violation]:
    """The request's id comes back; without a valid one a fresh UUIDv4 does."""
    given = exchange.header("x-correlation-id")
    all_sent = [value for name, value in exchange.request_headers if name == "x-correlation-id"]
    sent = all_sent[0] if len(all_sent) == 1 and _is_valid(all_sent[0]) else None
    if exchange.status == 0:
        return
    if sent is not None:
        if given != sent:
            yield Violation("OC-CTRL-2052", f"X-Correlation-Id {sent!r}, as sent", f"{given!r}", str(exchange))
    elif given is None or not _is_uuid4(given):
        yield Violation("OC-CTRL-2052", "a UUIDv4 as X-Correlation-Id", f"{given!r}", str(exchange))


def error_envelope(exchange: Exchange) -> Iterator[Violation]:
    """Every refusal is a typed envelope whose code belongs to its status and brings what the code requires."""
    if exchange.status < 400:
        return
    envelope = exchange.json
    if not isinstance(envelope, dict) or not isinstance(envelope.get("code"), str):
        yield Violation("ORCH-2006", "an error envelope with a code", f"{exchange.body[:120]!r}", str(exchange))
        return
    code = registry().get(envelope["code"])
    if code is None or code.http != exchange.status:
        expected = f"a code of status {exchange.status}"
        yield Violation("OC-CTRL-2030", expected, f"{envelope['code']} with {exchange.status}", str(exchange))
        return
    missing = [name for name in code.required_headers if exchange.header(name) is None]
    missing += [name for name in code.required_fields if name not in envelope]
    if missing:
        req = "ORCH-2007" if exchange.status == 429 else "OC-CTRL-2032"
        yield Violation(
            req, f"{code.name} with {', '.join(code.requires)}", f"without {', '.join(missing)}", str(exchange)
        )


def retry_advice_agrees(exchange: Exchange) -> Iterator[Violation]:
    """`Retry-After`, `X-Backoff-Ms` and `retry_after_ms` are one wait: whole seconds rounded up, and milliseconds."""
    after, backoff = exchange.header("retry-after"), exchange.header("x-backoff-ms")
    envelope: dict[str, Any] = exchange.json if isinstance(exchange.json, dict) else {}
    wait_ms = envelope.get("retry_after_ms")
    if exchange.status < 400 or (after is None and backoff is None and wait_ms is None):
        return
    if not isinstance(wait_ms, int) or isinstance(wait_ms, bool) or wait_ms < 1:
        yield Violation("ORCH-2007", "retry_after_ms of 1 or more", f"{wait_ms!r}", str(exchange))
        return
    if backoff != str(wait_ms):
        yield Violation("ORCH-2007", f"X-Backoff-Ms: {wait_ms}", f"{backoff!r}", str(exchange))
    if after != str(math.ceil(wait_ms / 1000)):
        yield Violation("ORCH-2007", f"Retry-After: {math.ceil(wait_ms / 1000)}", f"{after!r}", str(exchange))
    if envelope.get("retriable") is not True:
        yield Violation("ORCH-2007", "retriable: true beside a wait", f"{envelope.get('retriable')!r}", str(exchange))


def _is_valid(text: str) -> bool:
    return 1 <= len(text) <= CORRELATION_CHARS_MAX and text.isascii() and text.isprintable()


def _is_uuid4(text: str) -> bool:
    try:
        parsed = uuid.UUID(text)
    except ValueError:
        return False
    return parsed.version == 4 and str(parsed) == text.lower()


CHECKS = (never_a_defect, correlation_id, error_envelope, retry_advice_agrees)
"""All that hold for every answer."""

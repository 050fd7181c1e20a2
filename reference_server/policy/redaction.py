r"""Blots secrets out of a text: what looks like one, what the server knows to be one, and what the operator names.

Patterns are RE2's: they run in time that grows with the text alone, whatever somebody writes into it. A JSON string is
looked at with its escapes resolved too, since `s\u006b-live` is a key to whoever reads it.

Source: OC-POLICY-4031.
"""

import json
from collections.abc import Iterable
from typing import Any

import re2

MARK = "[redacted]"
SECRET_LENGTH_MIN = 6  # shorter ones would blot out words

SECRETS = (
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)",
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    r"\b(?:gh[pousr]_|github_pat_)[A-Za-z0-9_]{20,}",
    r"\bhf_[A-Za-z0-9]{20,}",
    r"\bsk-[A-Za-z0-9_-]{16,}",
    r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}",
    r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",
    r"(?i)(?P<before>\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}",
    r"(?P<before>://)[^\s/@:\"]+:[^\s/@\"]+(?P<after>@)",
    r"(?i)(?P<before>\b(?:password|passwd|secret|api[_-]?key|access[_-]?key|token)[\"']?\s*[:=]\s*[\"']?)[^\s\"',;}]{6,}",
)
"""What keys look like: PEM, AWS, GitHub, Hugging Face, OpenAI's shape, Slack, JWT, headers, URLs, settings. What a
pattern calls `before` and `after` stays."""

_ESCAPED = r'"[^"\\]*(?:\\.[^"\\]*)+"'  # a JSON string with an escape in it


def compiled(pattern: str) -> Any:
    """A pattern of RE2. Raises `ValueError`: it is none; the text says why."""
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options=options)
    except re2.error as error:
        why = error.args[0]
        raise ValueError(why.decode(errors="replace") if isinstance(why, bytes) else str(why)) from None


class Redactor:
    """Blots out by these patterns, and these values wherever they stand."""

    def __init__(self, patterns: Iterable[str] = (), *, values: Iterable[str] = ()) -> None:
        """Compile them. Raises `ValueError`: one is no pattern."""
        known = sorted({value for value in values if len(value) >= SECRET_LENGTH_MIN}, key=len, reverse=True)
        self._patterns = [compiled(pattern) for pattern in (*map(re2.escape, known), *SECRETS, *patterns)]
        self._strings = compiled(_ESCAPED)

    def blot(self, text: str) -> tuple[str, int]:
        """The text without its secrets, and how many there were."""
        escaped = 0

        def unescaped(found: Any) -> str:
            nonlocal escaped
            token = str(found.group())
            count, resolved = self._in_token(token)
            escaped += count
            return resolved

        text, plain = self._plain(self._strings.sub(unescaped, text))
        return text, escaped + plain

    def _in_token(self, token: str) -> tuple[int, str]:
        """One JSON string, as it was unless there is a secret behind its escapes."""
        try:
            value = json.loads(token, strict=False)
        except ValueError:
            return 0, token
        blotted, count = self._plain(value.encode("utf-8", "replace").decode())  # a lone surrogate is no text
        return count, json.dumps(blotted, ensure_ascii=False) if count else token

    def _plain(self, text: str) -> tuple[str, int]:
        total = 0

        def blotted(found: Any) -> str:
            nonlocal total
            if not found.group():
                return ""
            total += 1
            kept = found.groupdict()
            return f"{kept.get('before') or ''}{MARK}{kept.get('after') or ''}"

        for pattern in self._patterns:
            text = pattern.sub(blotted, text)
        return text, total

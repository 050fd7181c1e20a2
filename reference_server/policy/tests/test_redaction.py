"""Redaction: what is a secret goes, however it is written, and nothing else does."""

import json
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reference_server.policy.redaction import MARK, Redactor, compiled

KNOWN = "planted-secret-7d1f"
SECRETS = [
    "AKIAIOSFODNN7EXAMPLE",
    "ghp_0123456789abcdefghijABCDEFGHIJ012345",
    "hf_abcdefghijklmnopqrstuvwx",
    "sk-proj-abcdefghijklmnop1234",
    "xoxb-1234567890-abcdef",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJl",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\nMIIEow and it is cut off",
]
subject = Redactor(["acme-[0-9]+", "x*"], values=[KNOWN, "abc"])


@pytest.mark.req("OC-POLICY-4031")
@pytest.mark.parametrize("secret", [*SECRETS, KNOWN, "acme-42"], ids=lambda text: text[:12])
@pytest.mark.parametrize("write", [str, json.dumps, lambda text: '"' + "".join(f"\\u{ord(c):04x}" for c in text) + '"'])
def test_a_secret_goes_however_it_is_written(secret: str, write: object) -> None:
    text, count = subject.blot(f'{{"kept": "before", "v": {write(secret)}}}')  # type: ignore[operator]

    assert count >= 1
    assert MARK in text
    assert '"kept": "before"' in text
    assert secret not in text
    assert secret not in text.encode().decode("unicode_escape")


@pytest.mark.req("OC-POLICY-4031")
@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Authorization: Bearer abcdefgh12345678", f"Authorization: Bearer {MARK}"),
        ('{"password": "hunter2hunter2", "n": 1}', f'{{"password": "{MARK}", "n": 1}}'),
        ("https://user:hunter2@host/path", f"https://{MARK}@host/path"),
        ('"https:\\/\\/user:hunter2@host\\/p"', f'"https://{MARK}@host/p"'),
        ("API_KEY=0123456789", f"API_KEY={MARK}"),
        ('"\\ud800 acme-\\u0037"', f'"? {MARK}"'),  # half a surrogate pair is no text, and hides none
    ],
)
def test_what_stands_round_a_secret_stays(text: str, left: str) -> None:
    assert left == Redactor(["acme-[0-9]+"]).blot(text)[0]


@pytest.mark.req("OC-POLICY-4031")
@pytest.mark.parametrize(
    "text", ["", "a plain text", '{"models": ["a", "b"]}', "abc is short", "password: no", "λ 🦙 é"]
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert (text, 0) == Redactor(values=["abc"]).blot(text)


@pytest.mark.req("OC-POLICY-4031")
@given(before=st.text(), secret=st.sampled_from([KNOWN, "acme-7"]), after=st.text())
@example(before='"\\', secret=KNOWN, after='\\"')
def test_in_any_text_a_known_secret_is_gone(before: str, secret: str, after: str) -> None:
    whole = (before + secret + after).encode("utf-8", "replace").decode()

    assert secret not in Redactor(["acme-[0-9]+"], values=[KNOWN]).blot(whole)[0]


@pytest.mark.req("OC-POLICY-4031")
@given(st.text().map(lambda text: text.encode("utf-8", "replace").decode()))
def test_any_text_is_redacted_and_a_second_time_changes_nothing(text: str) -> None:
    once, _ = Redactor().blot(text)

    assert once == Redactor().blot(once)[0]


@pytest.mark.req("OC-POLICY-4031")
@given(st.text(max_size=60))
def test_any_text_is_a_pattern_or_refused(pattern: str) -> None:
    try:
        made = compiled(pattern)
    except ValueError:
        return
    assert made.pattern == pattern


@pytest.mark.req("OC-POLICY-4031")
@pytest.mark.parametrize("text", ["a" * 32_768, '"\\n"' * 8_000, "sk-" * 10_000, "://a:" * 6_000, "password=" * 3_500])
def test_no_text_makes_a_pattern_take_long(text: str) -> None:
    """(a+)+$ takes a backtracking engine longer than the universe has; here the time grows with the text."""
    began = time.monotonic()
    Redactor(["(a+)+$", "(a|aa)+b"]).blot(text)
    assert time.monotonic() - began < 20

"""Host and Origin: who may call the server by which name."""

import http.client
import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from reference_server.tests.test_serve import server


def ask(url: str, *headers: tuple[str, str], token: str | None = None) -> tuple[int, str]:
    """Status and error code; `Host` is sent as given, and not at all where none is."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    connection.putrequest("GET", "/v1/capabilities", skip_host=True)
    for name, value in headers:
        connection.putheader(name, value)
    if token is not None:
        connection.putheader("Authorization", f"Bearer {token}")
    connection.endheaders()
    answer = connection.getresponse()
    body = json.loads(answer.read())
    connection.close()
    return answer.status, body.get("code", "")


@pytest.mark.req("OC-CTRL-2044")
def test_without_a_token_only_names_of_this_machine_are_answered() -> None:
    with server() as (_, url):
        port = urlsplit(url).port
        for host in ("127.0.0.1", f"127.0.0.1:{port}", f"LOCALHOST:{port}", "localhost.", f"[::1]:{port}", "127.1.2.3"):
            assert (200, "") == ask(url, ("Host", host)), host
        for host in ("evil.example", f"evil.example:{port}", "localhost.evil.example", "127.0.0.1.evil.example"):
            assert (403, "FORBIDDEN") == ask(url, ("Host", host)), host
        for host in ("", "[", "10.0.0.1", "user@evil.example", "evil.example/localhost"):
            assert (200, "") != ask(url, ("Host", host)), host


@pytest.mark.req("OC-CTRL-2044")
def test_without_a_token_only_pages_of_this_machine_may_call() -> None:
    with server() as (_, url):
        host = ("Host", "localhost")
        assert (200, "") == ask(url, host, ("Origin", "http://localhost:3000"))
        assert (200, "") == ask(url, host, ("Origin", url))
        for origin in (
            "https://evil.example",
            "null",
            "http://localhost.evil.example",
            "http://localhost@evil.example",
        ):
            assert (403, "FORBIDDEN") == ask(url, host, ("Origin", origin)), origin


@pytest.mark.req("OC-CTRL-2044")
def test_a_name_of_the_allow_list_is_answered_and_with_a_token_the_list_is_the_operators(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(json.dumps({"http": {"allowed_hosts": ["models.example"]}}))
    with server("--config", str(config)) as (_, url):
        assert (200, "") == ask(url, ("Host", "models.example:8080"), ("Origin", "https://models.example"))
        assert (403, "FORBIDDEN") == ask(url, ("Host", "other.example"))
    with server("--config", str(config), LLORCH_API_TOKEN="t") as (_, url):
        assert (200, "") == ask(url, ("Host", "models.example"), token="t")
        assert (403, "FORBIDDEN") == ask(url, ("Host", "other.example"), token="t")
    with server(LLORCH_API_TOKEN="t") as (_, url):
        assert (200, "") == ask(url, ("Host", "any.example"), token="t")

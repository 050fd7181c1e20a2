"""The API token: one comparison decides, and it takes as long for any token."""

import hmac
from types import SimpleNamespace

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from reference_server.web import middleware
from reference_server.web.errors import EdgeError

TOKEN = "the-servers-own-token"


async def answered(sent: str) -> str:
    """What becomes of a request with this token."""

    async def handler(request: web.Request) -> web.StreamResponse:
        del request
        return web.Response()

    check = middleware.authenticated(TOKEN, open_paths=frozenset())
    request = make_mocked_request("GET", "/v1/capabilities", headers={"Authorization": f"Bearer {sent}"})
    try:
        await check(request, handler)
    except EdgeError as error:
        return error.failure.code
    return "let in"


@pytest.mark.req("OC-CTRL-2040")
@pytest.mark.parametrize("sent", [TOKEN, TOKEN[:-1], TOKEN + "x", "x", "x" * 4_000, "ü"])
async def test_every_token_is_compared_whole_and_nothing_but_that_decides(
    monkeypatch: pytest.MonkeyPatch, sent: str
) -> None:
    """By the function that is made for it, on inputs of one length, whatever was sent."""
    compared: list[tuple[int, int]] = []

    def recording(first: bytes, second: bytes) -> bool:
        compared.append((len(first), len(second)))
        return hmac.compare_digest(first, second)

    monkeypatch.setattr(middleware, "hmac", SimpleNamespace(compare_digest=recording))
    assert ("let in" if sent == TOKEN else "FORBIDDEN") == await answered(sent)
    assert [(32, 32)] == compared

    monkeypatch.setattr(middleware, "hmac", SimpleNamespace(compare_digest=lambda *_: False))
    assert "FORBIDDEN" == await answered(sent)

"""Servers are started from a command, once for each configuration, or refused with a reason."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.outcome import NotApplicableError
from harness.target import CannotRunError, Servers, Target, pool_settings
from harness.tests.tiny_server import Script, TinyServer, answer

# A server that answers everything with what it was given: its token, and its configuration file where it has one.
SERVER = """
import http.server, json, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        known = self.headers.get("Authorization") == "Bearer " + os.environ["LLORCH_API_TOKEN"]
        config = json.load(open(sys.argv[1])) if len(sys.argv) > 1 else None
        cache = os.environ.get("LLAMA_ORCH_CACHE_DIR")
        body = json.dumps({"engines": [], "config": config, "cache": cache}).encode()
        self.send_response(200 if known else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print(json.dumps({"event": "ready", "url": f"http://127.0.0.1:{server.server_port}"}), flush=True)
server.serve_forever()
"""


# A server that answers at once, and whose pools are still loading for its first three answers about them.
SLOW = """
import http.server, json, sys
class Handler(http.server.BaseHTTPRequestHandler):
    asked = 0
    def do_GET(self):
        about_a_pool = self.path.endswith("/health")
        Handler.asked += about_a_pool
        is_over = Handler.asked > 3
        pool = {"ready": is_over and sys.argv[2] == "ready", "last_error": "no memory" if is_over else None}
        body = json.dumps(pool if about_a_pool else {"asked": Handler.asked, "engines": [{"pool_id": "p"}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    made = Servers([sys.executable, "-c", SERVER, "{config}"], folder=tmp_path)
    yield made
    made.stop()


def test_a_server_is_started_with_its_settings_and_a_token(servers: Servers) -> None:
    target = servers.get({"http": {"drain_ms": 5}})

    assert {"http": {"drain_ms": 5}} == target.capabilities()["config"]


def test_equal_settings_share_a_server(servers: Servers) -> None:
    first, again, other = servers.get({"a": 1}), servers.get({"a": 1}), servers.get({"a": 2})

    assert first is again
    assert first.url != other.url


def test_a_server_that_has_ended_is_started_again(servers: Servers) -> None:
    first = servers.get({})
    assert first.process is not None
    first.process.kill()

    assert servers.get({}).url != first.url


def test_a_server_of_ones_own_is_shared_with_nobody(servers: Servers) -> None:
    assert servers.start({}).url != servers.start({}).url


def test_a_server_that_looks_for_what_is_not_there_leaves_the_users_cache_alone(
    servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_ORCH_CACHE_DIR", "/of/the/user")

    assert "/of/the/user" == servers.start({}).capabilities()["cache"]
    own = Path(servers.start({}, has_own_cache=True).capabilities()["cache"])
    assert own.is_relative_to(tmp_path)


def test_all_servers_are_stopped_in_the_end(servers: Servers) -> None:
    targets = [servers.get({}), servers.start({})]
    servers.stop()

    assert all(t.process is not None and t.process.exit_code is not None for t in targets)


@pytest.mark.req("OC-TEST-7009")
@pytest.mark.parametrize(
    ("command", "why"),
    [
        pytest.param((), "given by its URL", id="url"),
        pytest.param(("server", "--port", "0"), "takes no configuration", id="no-placeholder"),
    ],
)
def test_settings_that_cannot_be_given_do_not_apply(tmp_path: Path, command: tuple[str, ...], why: str) -> None:
    with pytest.raises(NotApplicableError, match=why):
        Servers(command, folder=tmp_path).get({"a": 1})


def test_a_command_that_fails_is_shown_with_its_log(tmp_path: Path) -> None:
    with pytest.raises(CannotRunError, match="no such port"):
        Servers([sys.executable, "-c", "raise SystemExit('no such port')"], folder=tmp_path).get({})


@pytest.mark.req("OC-TEST-7038")
@pytest.mark.parametrize("end", ["ready", "failed"])
def test_a_server_on_a_given_port_is_judged_once_its_pools_have_come_up_or_say_why_not(
    tmp_path: Path, end: str
) -> None:
    servers = Servers([sys.executable, "-c", SLOW, "{port}", end], folder=tmp_path)

    assert {"asked": 4, "engines": [{"pool_id": "p"}]} == servers.get({}).capabilities()
    servers.stop()


@pytest.mark.parametrize(
    ("script", "why"),
    [
        pytest.param(lambda sock, head: sock.sendall(answer("401 No", b"{}")), "refuses the token", id="no-token"),
        pytest.param(lambda sock, head: sock.sendall(answer("404 No", b"{}")), "is it an OrchQueue", id="other-server"),
        pytest.param(lambda sock, head: sock.sendall(answer("200 OK", b"hello")), "is it an OrchQueue", id="no-json"),
        pytest.param(lambda sock, head: None, "does not answer", id="silent"),
    ],
)
def test_a_url_that_is_no_server_of_this_kind_is_explained(script: Script, why: str) -> None:
    with TinyServer(script) as server, pytest.raises(CannotRunError, match=why):
        Target(server.url, token=None).capabilities()


def test_a_pool_gets_the_engine_of_the_run() -> None:
    replica = {"kind": "external", "url": "http://127.0.0.1:1"}

    assert {"pools": [{"id": "a", "replicas": [replica]}], "http": {}} == pool_settings({"id": "a"}, replica, http={})
    assert {"pools": [{}]} == pool_settings({}, None)

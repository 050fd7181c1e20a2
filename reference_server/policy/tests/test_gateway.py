"""The gateway against real sockets: what it lets out, what it refuses, and that nobody gets round it."""

import base64
import os
import socket
import subprocess
import sys

import httpx
import pytest

from reference_server.policy.clients import environment, http_client
from reference_server.policy.outbound import Snapshot
from reference_server.policy.tests.far_end import FarEnd, Names, far_end, gateway_under

HTTP = Snapshot(schemes=("http", "https"), private=("models.example", "mirror.example"))
HERE = Names(models_example=["127.0.0.1"], mirror_example=["127.0.0.1"])


def url(far: FarEnd, path: str = "/m", host: str = "models.example") -> str:
    return f"http://{host}:{far.port}{path}"


@pytest.mark.req("ORCH-3080", "OC-POLICY-4040")
def test_what_is_allowed_arrives_whole_and_each_connection_was_decided() -> None:
    with far_end() as far, gateway_under(HTTP, HERE) as (gateway, decided), gateway.admit("model") as held:
        far.answers["/m"] = (200, {"X-Kept": "yes"}, b"x" * 300_000)
        with http_client(held) as client:
            answer = client.get(url(far, "/m?a=b"), headers={"Authorization": "Bearer key"})
            client.get(url(far))

    assert (200, 300_000, "yes") == (answer.status_code, len(answer.content), answer.headers["X-Kept"])
    assert "/m?a=b" == far.asked[0].path
    assert "Bearer key" == far.asked[0].headers["authorization"]
    assert "proxy-authorization" not in far.asked[0].headers
    assert 2 == len(decided)


@pytest.mark.req("OC-POLICY-4042")
def test_an_answer_of_dns_that_changes_after_the_check_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The attack: first a harmless address, and the victim's own at the moment of use."""
    names = Names(models_example=["127.0.0.2", "127.0.0.1"])
    connected = []
    really = socket.socket.connect

    def connect(self: socket.socket, address: tuple[str, int]) -> None:
        connected.append(address[0])
        really(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)
    with (
        far_end() as far,
        gateway_under(HTTP, names) as (gateway, decided),
        gateway.admit("model") as held,
        http_client(held) as client,
    ):
        status = client.get(url(far)).status_code

    assert 502 == status  # nobody listens at the address that was checked
    assert [] == far.asked
    assert ["models.example"] == names.looked_up
    assert ("127.0.0.2",) == decided[0][0].addresses
    assert "127.0.0.2" in connected


@pytest.mark.req("OC-POLICY-4042")
def test_a_name_with_an_address_inside_is_refused_before_a_byte_goes_there() -> None:
    names = Names(evil_example=["127.0.0.1"])
    with (
        far_end() as far,
        gateway_under(HTTP, names) as (gateway, _),
        gateway.admit("model") as held,
        http_client(held) as client,
    ):
        answer = client.get(url(far, host="evil.example"))

    assert 403 == answer.status_code
    assert ["private-address"] == [decision.rule for decision in held.refusals]
    assert [] == far.asked


@pytest.mark.req("OC-POLICY-4043")
def test_each_hop_of_a_redirect_is_asked_again_and_carries_no_credentials() -> None:
    """T19: LocalAI GHSA-3mj3."""
    with far_end() as far, gateway_under(HTTP, HERE) as (gateway, decided), gateway.admit("model") as held:
        far.answers["/m"] = (302, {"Location": url(far, "/n", "mirror.example")}, b"")
        far.answers["/n"] = (302, {"Location": "http://169.254.169.254/latest/meta-data"}, b"")
        with http_client(held, follow_redirects=True) as client:
            answer = client.get(url(far), headers={"Authorization": "Bearer key", "Cookie": "k=v"})

    assert 403 == answer.status_code
    assert ["models.example", "mirror.example", "169.254.169.254"] == [request.host for request, _ in decided]
    assert ["private-address"] == [decision.rule for decision in held.refusals]
    assert ["/m", "/n"] == [asked.path for asked in far.asked]
    assert "authorization" not in far.asked[1].headers


@pytest.mark.req("ORCH-3205", "OC-POLICY-4041")
def test_switched_off_nothing_is_even_looked_up() -> None:
    names = Names(models_example=["127.0.0.1"])
    with (
        gateway_under(Snapshot(is_on=False), names) as (gateway, _),
        gateway.admit("model") as held,
        http_client(held) as client,
        pytest.raises(httpx.ProxyError, match="403"),
    ):
        client.get("https://models.example/m")

    assert ["off"] == [decision.rule for decision in held.refusals]
    assert [] == names.looked_up


@pytest.mark.req("OC-POLICY-4045")
def test_in_shadow_mode_what_would_be_refused_arrives_and_is_told() -> None:
    shadow = Snapshot(is_shadow=True)
    with far_end() as far, gateway_under(shadow, HERE) as (gateway, decided), gateway.admit("model") as held:
        far.answers["/m"] = (200, {}, b"weights")
        with http_client(held) as client:
            assert b"weights" == client.get(url(far)).content

    assert [False] == [decision.is_allowed for _, decision in decided]
    assert [] == held.refusals


@pytest.mark.req("OC-POLICY-4044")
@pytest.mark.parametrize("proxy", ["http://127.0.0.1:{port}", "http://model:guess@127.0.0.1:{port}"])
def test_who_holds_no_pass_is_not_served(proxy: str) -> None:
    with far_end() as far, gateway_under(HTTP, HERE) as (gateway, decided), gateway.admit("model") as held:
        port = int(held.proxy_url.rpartition(":")[2])
        with httpx.Client(proxy=proxy.format(port=port), trust_env=False) as client:
            assert 407 == client.get(url(far)).status_code

    assert [] == decided


@pytest.mark.req("OC-POLICY-4044")
def test_a_pass_ends_with_its_block() -> None:
    with far_end() as far, gateway_under(HTTP, HERE) as (gateway, _):
        with gateway.admit("model") as held:
            pass
        with http_client(held) as client:
            assert 407 == client.get(url(far)).status_code


@pytest.mark.req("OC-POLICY-4043")
def test_a_connection_carries_one_request_and_no_second_one_for_another_host() -> None:
    with far_end() as far, gateway_under(HTTP, HERE) as (gateway, _), gateway.admit("model") as held:
        far.answers["/m"] = (200, {}, b"one")
        auth = httpx.URL(held.proxy_url).userinfo
        with socket.create_connection(("127.0.0.1", int(held.proxy_url.rpartition(":")[2]))) as wire:
            head = f"GET {url(far)} HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic "
            head += base64.b64encode(auth).decode() + "\r\n\r\n"
            wire.sendall(head.encode() + b"GET http://169.254.169.254/ HTTP/1.1\r\nHost: y\r\n\r\n")
            got = b"".join(iter(lambda: wire.recv(4096), b""))

    assert 1 == got.count(b"HTTP/1.1 ")
    assert ["/m"] == [asked.path for asked in far.asked]


@pytest.mark.req("OC-POLICY-4044")
def test_a_download_that_breaks_off_is_not_passed_on_as_whole() -> None:
    with far_end() as far, gateway_under(HTTP, HERE) as (gateway, _), gateway.admit("model") as held:
        far.answers["/m"] = (200, {"Content-Length": "1000"}, b"x" * 10)
        with http_client(held) as client, pytest.raises(httpx.RemoteProtocolError):
            client.get(url(far))


@pytest.mark.req("OC-POLICY-4044")
def test_a_client_that_leaves_before_its_answer_leaves_no_connection_behind() -> None:
    """Else a far end that hangs would hold the gateway's places for minutes each, whatever its clients' patience."""
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        gateway_under(HTTP, HERE) as (gateway, _),
        gateway.admit("fetch") as held,
    ):
        silent.settimeout(20)
        url = f"http://models.example:{silent.getsockname()[1]}/m"
        client = httpx.Client(proxy=held.proxy_url, trust_env=False, timeout=httpx.Timeout(20, read=0.2))
        with client, pytest.raises(httpx.ReadTimeout):
            client.get(url)
        far, _ = silent.accept()
        far.settimeout(20)
        with far:
            got = b"".join(iter(lambda: far.recv(4096), b""))

    assert got.startswith(b"GET /m HTTP/1.1")


@pytest.mark.req("OC-POLICY-4044")
def test_a_program_has_the_gateway_as_its_only_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """A real pip, whose user has switched proxies off for all hosts and set up a proxy of their own."""
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    names = Names(packages_example=["127.0.0.1"])
    command = [sys.executable, "-m", "pip", "--isolated", "download", "--no-deps", "--retries", "0", "nothing-here"]
    with gateway_under(Snapshot(is_strict=True), names) as (gateway, decided), gateway.admit("package") as held:
        environ = {**os.environ, **environment(held)}
        command += ["--proxy", environ["PIP_PROXY"], "--index-url", "https://packages.example/simple"]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60)

    assert 0 != done.returncode
    assert {("https", "packages.example", 443)} == {(r.scheme, r.host, r.port) for r, _ in decided}
    assert {"not-allowed"} == {decision.rule for decision in held.refusals}


@pytest.mark.req("OC-POLICY-4042")
def test_a_mirror_that_the_operator_set_up_may_be_private_for_its_own_pass_only() -> None:
    with far_end() as far, gateway_under(Snapshot(), HERE) as (gateway, _):
        far.answers["/m"] = (200, {}, b"package")
        with gateway.admit("package", set_up=(f"models.example:{far.port}",)) as held, http_client(held) as client:
            assert b"package" == client.get(url(far)).content
        with gateway.admit("model") as held, http_client(held) as client:
            assert 403 == client.get(url(far)).status_code

"""The fetch tool against real servers, through a real gateway: what comes, what does not, and its audit log."""

import asyncio
import gzip
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from structlog.testing import capture_logs

from reference_server.domain.throttle import Throttle
from reference_server.policy.connect import Ask, no_plugin
from reference_server.policy.fetch import Fetched, FetchTool
from reference_server.policy.fetch_rules import FetchRules
from reference_server.policy.outbound import Decision, Request, Snapshot
from reference_server.policy.redaction import MARK, Redactor
from reference_server.policy.tests.far_end import FarEnd, Names, far_end, gateway_under

SCHEMA = json.loads((Path(__file__).parents[3] / "contracts" / "logs" / "fetch.schema.json").read_text())
OPEN = Snapshot(schemes=("http",), private=("*.example",))
ASKER = {"hook": "admission", "plugin_id": "p", "plugin_name": "t", "plugin_version": "1.0.0"}
TEXT = {"Content-Type": "text/plain; charset=utf-8"}
KNOWN = "planted-secret-7d1f"


class Far:
    """A far end, the tool that fetches from it, and all that was noted."""

    def __init__(self, end: FarEnd, tool: FetchTool, decided: list[tuple[Request, Decision]]) -> None:
        self.end, self.tool, self.decided = end, tool, decided

    def get(self, path: str = "/list", host: str = "list.example", tool: str = "1.0") -> tuple[Fetched, dict[str, Any]]:
        """Fetch, and the line that the audit log has of it, which its schema allows."""
        with capture_logs(processors=[structlog.processors.TimeStamper(fmt="iso", utc=True)]) as lines:
            url = f"http://{host}:{self.end.port}{path}"
            made = asyncio.run(self.tool.fetch(tool=tool, url=url, asker=ASKER))
        (line,) = lines
        level = line.pop("log_level")
        jsonschema_rs.validator_for(SCHEMA).validate({**line, "level": level})
        assert (made.outcome, made.reason) == (line["outcome"], line["reason"])
        return made, dict(line)


@contextmanager
def tool(
    rules: Snapshot = OPEN, *, ask: Ask = no_plugin, rate: Throttle | None = None, **changes: object
) -> Iterator[Far]:
    names = Names(list_example=["127.0.0.1"], other_example=["127.0.0.1"], inner_test=["127.0.0.1"])
    with far_end() as end, gateway_under(rules, names, ask=ask) as (gateway, decided):
        allowed = FetchRules(**{"allow": ("list.example", "inner.test"), "timeout_ms": 30_000, **changes})  # type: ignore[arg-type]
        made = FetchTool(
            allowed,
            admit=gateway.admit,
            rate=rate or Throttle(1000, 1000),
            redactor=Redactor(["acme-[0-9]+"], values=[KNOWN]),
        )
        end.answers["/list"] = (200, TEXT, b"one\ntwo\n")
        yield Far(end, made, decided)


@pytest.mark.req("OC-POLICY-4030", "OC-POLICY-4033", "OC-POLICY-4035", "OC-POLICY-4036")
def test_what_the_rules_allow_comes_and_its_line_is_in_the_audit_log() -> None:
    with tool() as far:
        made, line = far.get("/list?token=s3cret")

    assert ("answered", 200, "text/plain", "one\ntwo\n") == (made.outcome, made.status, made.mime, made.body)
    assert [("GET", "/list?token=s3cret")] == [(asked.method, asked.path) for asked in far.end.asked]
    assert not {"authorization", "cookie", "proxy-authorization"} & set(far.end.asked[0].headers)
    assert (8, 12, 200, 0) == (line["body_bytes"], line["query_bytes"], line["status"], line["redactions"])
    assert f"http://list.example:{far.end.port}/list" == line["url"]
    assert [("fetch", "allowed")] == [(request.purpose, decision.rule) for request, decision in far.decided]


def certified(folder: Path, name: str) -> ssl.SSLContext:
    """A certificate for this name that is its own authority, in `folder/ca.pem`."""
    key, subject = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    certificate = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    raw_key = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "ca.pem").write_bytes(certificate)
    (folder / "both.pem").write_bytes(raw_key + certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "both.pem")
    return context


@pytest.mark.req("OC-POLICY-4030", "OC-POLICY-4036")
@pytest.mark.parametrize(
    ("name", "outcome"), [("list.example", "answered"), ("other.example", "failed")], ids=["its-own", "anothers"]
)
def test_over_tls_the_certificate_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, outcome: str
) -> None:
    tls = certified(tmp_path, name)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with tool(Snapshot(private=("*.example",))) as far, far_end(tls=tls) as secure:
        secure.answers["/list"] = (200, TEXT, b"one")
        url = f"https://list.example:{secure.port}/list"
        made = asyncio.run(far.tool.fetch(tool="1.0", url=url, asker=ASKER))

    assert outcome == made.outcome, made.reason
    assert [("https", "allowed")] == [(request.scheme, decision.rule) for request, decision in far.decided]


@pytest.mark.req("OC-POLICY-4030", "OC-POLICY-4033")
@pytest.mark.parametrize(
    ("changes", "says"),
    [({"allow": ()}, "not among the domains"), ({"deny": ("*.example",)}, "among the domains that it may not")],
)
def test_a_domain_that_is_not_named_is_not_even_asked_of_the_gateway(changes: dict[str, object], says: str) -> None:
    with tool(OPEN, ask=no_plugin, rate=None, **changes) as far:
        made, line = far.get()

    assert "refused" == made.outcome
    assert says in made.reason
    assert ([], []) == (far.decided, far.end.asked)
    assert line["url"] is not None


@pytest.mark.req("OC-POLICY-4035", "ORCH-3205", "OC-POLICY-4042")
@pytest.mark.parametrize(
    ("rules", "ask", "says"),
    [
        pytest.param(Snapshot(is_on=False), no_plugin, "switched off", id="off"),
        pytest.param(Snapshot(is_strict=True, schemes=("http",)), no_plugin, "strict mode", id="strict"),
        pytest.param(Snapshot(schemes=("http",)), no_plugin, "lies inside this host", id="private"),
        pytest.param(OPEN, lambda request: f"policy p refused {request.host}", "policy p refused", id="plugin"),
    ],
)
def test_the_outbound_rules_and_plugins_count_for_a_fetch_too(rules: Snapshot, ask: Ask, says: str) -> None:
    with tool(rules, ask=ask) as far:
        made, _ = far.get()

    assert "refused" == made.outcome
    assert says in made.reason
    assert [] == far.end.asked
    assert 1 == len(far.decided)


@pytest.mark.req("OC-POLICY-4030")
@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({"Content-Type": "text/html"}, "the answer is text/html"),
        ({}, "no MIME type"),
        ({"Content-Type": "text/plain, text/html"}, "no MIME type, or no single one"),
        ({"Content-Type": "text/plain;\tx", "Content-Encoding": "gzip"}, "compressed"),
    ],
)
def test_an_answer_of_another_type_is_not_handed_out(headers: Mapping[str, str], says: str) -> None:
    with tool() as far:
        far.end.answers["/list"] = (200, headers, gzip.compress(b"secret"))
        made, line = far.get()

    assert says in made.reason
    assert ("", None) == (made.body, made.status)
    assert (0, 200) == (line["body_bytes"], line["status"])


@pytest.mark.req("OC-POLICY-4036")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 304])
def test_a_redirect_is_not_followed(status: int) -> None:
    with tool() as far:
        far.end.answers["/list"] = (status, {**TEXT, "Location": "http://169.254.169.254/latest/meta-data"}, b"")
        made, _ = far.get()

    assert ("failed", f"status {status}, and redirects are not followed") == (made.outcome, made.reason)
    assert 1 == len(far.decided)


@pytest.mark.req("OC-POLICY-4036")
def test_an_error_of_the_far_end_is_an_answer_with_its_status() -> None:
    with tool() as far:
        far.end.answers["/list"] = (503, TEXT, b"busy")
        made, _ = far.get()

    assert ("answered", 503, "busy") == (made.outcome, made.status, made.body)


@pytest.mark.req("OC-POLICY-4031", "OC-POLICY-4033")
def test_secrets_and_configured_patterns_are_gone_before_an_answer_leaves() -> None:
    body = {"a": KNOWN, "b": "acme-77", "c": "hf_" + "x" * 30, "kept": "plain"}
    with tool(mime_allow=("application/*",)) as far:
        far.end.answers[f"/{KNOWN}"] = (200, {"Content-Type": "application/json"}, json.dumps(body).encode())
        made, line = far.get(f"/{KNOWN}")

    assert {"a": MARK, "b": MARK, "c": MARK, "kept": "plain"} == json.loads(made.body)
    assert 3 == line["redactions"]
    assert KNOWN not in json.dumps(line)


@pytest.mark.req("OC-POLICY-4032")
@pytest.mark.parametrize("size", [1000, 1001])
def test_the_size_of_an_answer_is_bounded_to_the_byte(size: int) -> None:
    with tool(body_bytes_max=1000) as far:
        far.end.answers["/list"] = (200, TEXT, b"x" * size)
        made, line = far.get()

    assert ("answered" if size == 1000 else "refused") == made.outcome
    assert size == line["body_bytes"]
    assert "" == made.reason or "larger than 1000 bytes" in made.reason


@pytest.mark.req("OC-POLICY-4032")
def test_an_answer_whose_escapes_take_too_much_room_is_refused() -> None:
    with tool(body_bytes_max=32_768) as far:
        far.end.answers["/list"] = (200, TEXT, b"\x01" * 8_000)
        made, _ = far.get()

    assert "written as JSON" in made.reason
    assert "" == made.body


@contextmanager
def raw_end(serve: Callable[[socket.socket, threading.Event], None]) -> Iterator[int]:
    """The port of a server that does to its first client what no library would."""
    gone = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def run() -> None:
            client, _ = listening.accept()
            with client:
                client.settimeout(30)
                client.recv(65_536)
                serve(client, gone)

        thread = threading.Thread(target=run)
        thread.start()
        yield listening.getsockname()[1]
        gone.set()
        with suppress(OSError):  # where nobody has come, the server still waits
            socket.create_connection(listening.getsockname()).close()
        thread.join(30)
        assert not thread.is_alive()


def endless(client: socket.socket, gone: threading.Event) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
    try:
        while not gone.is_set():
            client.sendall(b"x" * 4096)
    except OSError:
        return


def dribbling_head(client: socket.socket, gone: threading.Event) -> None:
    """A byte at a time: each read has something, and the head never ends."""
    try:
        for byte in b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 60_000:
            client.sendall(bytes([byte]))
            if gone.wait(0.05):
                return
    except OSError:
        return


def silent(client: socket.socket, gone: threading.Event) -> None:
    gone.wait(30)


@pytest.mark.req("OC-POLICY-4032")
def test_of_an_endless_answer_no_more_than_the_bound_is_read() -> None:
    with tool() as far, raw_end(endless) as port:
        far.end.port = port
        made, line = far.get()

    assert "larger than 16384 bytes" in made.reason
    assert line["body_bytes"] < 16_384 + 2 * 4096


@pytest.mark.req("OC-POLICY-4036")
@pytest.mark.parametrize("serve", [silent, dribbling_head])
def test_one_deadline_holds_for_all_of_a_fetch(serve: Callable[[socket.socket, threading.Event], None]) -> None:
    with tool(timeout_ms=300) as far, raw_end(serve) as port:
        far.end.port = port
        began = time.monotonic()
        made, _ = far.get()
        took_s = time.monotonic() - began

    assert ("failed", "there was no whole answer within 300 ms") == (made.outcome, made.reason)
    assert 0.3 <= took_s < 10


@pytest.mark.req("OC-POLICY-4036")
def test_a_far_end_that_is_not_there_or_breaks_off_is_told_from_an_answer() -> None:
    with tool() as far:
        far.end.answers["/list"] = (200, {**TEXT, "Content-Length": "1000"}, b"short")
        broken, _ = far.get()
        with socket.create_server(("127.0.0.1", 0)) as nobody:
            port = nobody.getsockname()[1]
        far.end.port = port
        missing, _ = far.get()

    assert ("failed", "the answer cannot be read (RemoteProtocolError)") == (broken.outcome, broken.reason)
    assert "failed" == missing.outcome
    assert "cannot be reached" in missing.reason


@pytest.mark.req("OC-POLICY-4032")
def test_the_rate_is_bounded() -> None:
    with tool(rate=Throttle(0.001, 2)) as far:
        outcomes = [far.get()[0] for _ in range(3)]

    assert ["answered", "answered", "refused"] == [made.outcome for made in outcomes]
    assert "too many fetches" in outcomes[2].reason
    assert 2 == len(far.end.asked)


@pytest.mark.req("OC-POLICY-4033")
def test_another_version_of_the_tool_and_what_is_no_address_are_in_the_log_too() -> None:
    with tool() as far:
        version, _ = far.get(tool="2.0")
        address, line = far.get("/ a blank")

    assert "it is written for fetch tool 2.0, and this is 1.0" == version.reason
    assert ("refused", None) == (address.outcome, line["url"])
    assert [] == far.end.asked


@pytest.mark.req("OC-POLICY-4033")
def test_a_fetch_that_is_given_up_is_in_the_log_too() -> None:
    reached = threading.Event()

    def serve(client: socket.socket, gone: threading.Event) -> None:
        reached.set()
        silent(client, gone)

    async def give_up(far: Far) -> None:
        fetching = asyncio.create_task(
            far.tool.fetch(tool="1.0", url=f"http://list.example:{far.end.port}/", asker=ASKER)
        )
        assert await asyncio.to_thread(reached.wait, 20)
        fetching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await fetching

    with tool(timeout_ms=30_000) as far, raw_end(serve) as port, capture_logs() as lines:
        far.end.port = port
        asyncio.run(give_up(far))

    assert [("failed", "it was given up")] == [(line["outcome"], line["reason"]) for line in lines]


@pytest.mark.req("OC-POLICY-4033")
def test_nothing_is_handed_out_when_its_line_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("the log is full")

    with tool() as far:
        monkeypatch.setattr("reference_server.policy.fetch.structlog.get_logger", type("L", (), {"log": full}))
        with pytest.raises(OSError, match="log is full"):
            asyncio.run(far.tool.fetch(tool="1.0", url=f"http://list.example:{far.end.port}/list", asker=ASKER))

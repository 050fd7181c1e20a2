"""Passes requests on to a stand-in engine, and breaks one thing of each answer."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

from harness.pact.tests.mutants import Mutant, broken

NOT_PASSED_ON = {"connection", "content-length", "date", "keep-alive", "server"}


class Proxy(ThreadingHTTPServer):
    """One in front of one engine.

    Attributes:
        mutant: what is broken; None = nothing.
        broke: how many answers were.
    """

    daemon_threads = True

    def __init__(self, engine_url: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.engine = httpx.Client(base_url=engine_url, trust_env=False)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.mutant: Mutant | None = None
        self.broke = 0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its signature
        """Nothing."""

    def do_GET(self) -> None:
        self._pass_on()

    def do_POST(self) -> None:
        self._pass_on()

    def do_DELETE(self) -> None:
        self._pass_on()

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        sent = {name: value for name, value in self.headers.items() if name.lower() not in {"host", "connection"}}
        answer = self.server.engine.request(self.command, self.path, content=body, headers=sent)
        headers = {name: value for name, value in answer.headers.items() if name not in NOT_PASSED_ON}
        status, content = answer.status_code, answer.content
        if (mutant := self.server.mutant) is not None:
            status, headers, content = _break(mutant, status, headers, content)
            self.server.broke += 1
        self._send(status, headers, content)

    def _send(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if headers.get("transfer-encoding") == "chunked":
            content = b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content)
        else:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _break(mutant: Mutant, status: int, headers: dict[str, str], content: bytes) -> tuple[int, dict[str, str], bytes]:
    match mutant.part:
        case "status":
            return (500 if status < 500 else 200), headers, content
        case "header":
            name = str(mutant.path[0])
            rest = {key: value for key, value in headers.items() if key != name}
            assert rest != headers
            if mutant.how == "retype" and name == "content-type":
                rest[name] = "application/octet-stream"
            return status, rest, content
        case "json":
            return status, headers, json.dumps(broken(json.loads(content), mutant.path, mutant.how)).encode()
        case "marker":
            assert b"[DONE]" in content
            return status, headers, content.replace(b"data: [DONE]\n\n", b"")
        case "metric":
            return status, headers, _metric(str(mutant.path[0]), mutant.how, content.decode()).encode()
        case _:
            return status, headers, _frames(mutant, content.decode()).encode()


def _metric(sample: str, how: str, text: str) -> str:
    """The sample of the same name and with the same label."""
    name, _, label = sample.rstrip("}").partition("{")
    lines = text.splitlines()
    (found,) = [line for line in lines if line.startswith(name) and label in line]
    new = {"drop": [], "rename": ["x" + found], "retype": [found.rpartition(" ")[0] + " many"]}[how]
    return "\n".join([line for line in lines if line != found] + new) + "\n"


def _frames(mutant: Mutant, text: str) -> str:
    lines = text.split("\n")
    places = [index for index, line in enumerate(lines) if _has(_data(line), mutant.path)]
    index = places[0 if mutant.frame == "first" else -1]
    value = broken(_data(lines[index]), mutant.path, mutant.how)
    lines[index] = "data: " + json.dumps(value, ensure_ascii=False)
    return "\n".join(lines)


def _data(line: str) -> Any:
    data = line.removeprefix("data:").strip()
    return json.loads(data) if data.startswith("{") else None


def _has(value: Any, path: tuple[str | int, ...]) -> bool:
    """It is there, and is not null: an engine may have a member in every frame and fill it in one."""
    for key in path:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return False
    return value is not None


@contextmanager
def breaking_proxy(engine_url: str) -> Iterator[Proxy]:
    """Run one until the block ends."""
    with Proxy(engine_url) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join(5)
            proxy.engine.close()

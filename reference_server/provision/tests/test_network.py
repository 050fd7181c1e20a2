"""What provisioning fetches goes out under the rules, and by no other way."""

import ast
import hashlib
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import reference_server
from reference_server.config import Outbound
from reference_server.policy.tests.far_end import far_end
from reference_server.provision import cache, download, network
from reference_server.provision.errors import OutboundRefusedError
from reference_server.tests.test_serve import server

WAYS = {"get", "post", "put", "head", "request", "stream", "Client", "AsyncClient", "Session", "urlopen", "urlretrieve"}
WAYS_OUT = {
    "engines/http.py": "to configured engines, which no policy is asked about",
    "policy/clients.py": "makes the clients that are pointed at the gateway",
    "provision/sources/registry.py": "names the errors of a session that is pointed at the gateway",
}
MODULES = {"httpx", "requests", "urllib.request", "urllib3", "aiohttp", "http.client"}


@pytest.fixture
def rules(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Outbound], None]]:
    """Sets the rules for the length of a test."""
    monkeypatch.delenv(network.OFFLINE_ENV, raising=False)
    yield lambda new: network.follow(lambda: new)
    network.follow(Outbound)


def fetch(folder: Path, url: str) -> Path:
    return download.fetch(url, folder / "m", digest="sha256:0", purpose="model")


def ways_round(source: str) -> list[int]:
    """Lines that open a connection without the gateway."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=("httpx" | "requests" | "aiohttp")), attr=name)):
                found += [node.lineno] if name in WAYS else []
            case ast.ImportFrom(module=module, names=names) if module in MODULES:
                found += [node.lineno for alias in names if alias.name in WAYS]
            case ast.Import(names=names):
                found += [node.lineno for alias in names if alias.name in MODULES - {"httpx"}]
    return found


@pytest.mark.req("ORCH-3080", "OC-POLICY-4044")
def test_no_module_connects_by_itself() -> None:
    server = Path(str(reference_server.__file__)).parent
    sources = {str(path.relative_to(server)): path for path in server.rglob("*.py") if "tests" not in path.parts}

    assert {"policy/fetch.py", "provision/download.py", "provision/sources/hub.py"} < set(sources)
    assert set(WAYS_OUT) == {name for name, path in sources.items() if ways_round(path.read_text())}


@pytest.mark.req("OC-POLICY-4044")
@pytest.mark.parametrize(
    "source",
    [
        "import httpx\nhttpx.get('https://a')",
        "from httpx import Client",
        "import urllib.request",
        "from urllib.request import urlopen",
        "import requests",
    ],
)
def test_a_module_that_connects_by_itself_is_found(source: str) -> None:
    assert ways_round(source)


@pytest.mark.req("ORCH-3205")
@pytest.mark.parametrize("switch", ["configuration", "environment"])
def test_the_switch_turns_all_of_it_off(
    rules: Callable[[Outbound], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, switch: str
) -> None:
    if switch == "environment":
        monkeypatch.setenv(network.OFFLINE_ENV, "1")
    rules(Outbound(enabled=switch != "configuration"))

    with pytest.raises(OutboundRefusedError, match="switched off"):
        fetch(tmp_path, "https://models.example/m")
    assert [] == list(tmp_path.iterdir())


@pytest.mark.req("ORCH-3080", "OC-POLICY-4041")
def test_strict_rules_refuse_what_they_do_not_name(rules: Callable[[Outbound], None], tmp_path: Path) -> None:
    rules(Outbound(mode="strict", allow=("other.example",)))

    with pytest.raises(OutboundRefusedError, match="strict mode"):
        fetch(tmp_path, "https://models.example/m")


@pytest.mark.req("OC-POLICY-4042")
@pytest.mark.parametrize("host", ["169.254.169.254", "127.1", "localhost", "[::ffff:169.254.169.254]", "0x7f000001"])
def test_the_metadata_service_and_this_host_are_refused_however_they_are_written(
    rules: Callable[[Outbound], None], tmp_path: Path, host: str
) -> None:
    rules(Outbound(schemes=("http", "https")))

    with pytest.raises(OutboundRefusedError, match="lies inside this host or its network"):
        fetch(tmp_path, f"http://{host}/latest/meta-data")


@pytest.mark.req("OC-POLICY-4045")
def test_a_decision_is_logged_without_path_query_or_credential(
    rules: Callable[[Outbound], None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rules(Outbound(mode="strict", schemes=("http", "https")))

    with caplog.at_level(logging.INFO), pytest.raises(OutboundRefusedError):
        fetch(tmp_path, "http://user:hunter2@models.example/private?token=s3cret")
    assert "purpose=model rule=not-allowed http://models.example:80" in caplog.text
    assert [] == [secret for secret in ("hunter2", "s3cret", "/private") if secret in caplog.text]


@pytest.mark.req("OC-CONFIG-6030", "ORCH-3205")
@pytest.mark.parametrize(
    ("rules", "why"),
    [("mode: strict", "in strict mode"), ("enabled: false", "switched off"), ("deny: ['*']", "the deny list")],
)
def test_the_command_line_fetches_under_the_rules_of_its_configuration(tmp_path: Path, rules: str, why: str) -> None:
    (tmp_path / "pools.yaml").write_text(f"outbound:\n  {rules}\n")
    command = [sys.executable, "-m", "reference_server", "engines", "--config", str(tmp_path / "pools.yaml")]
    settings = {cache.CACHE_ENV: str(tmp_path / "cache"), "PIP_INDEX_URL": "https://packages.example/simple"}
    done = subprocess.run(
        [*command, "install", "llamacpp"],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert 1 == done.returncode
    assert why in done.stderr
    assert [] == list((tmp_path / "cache" / "engines").glob("*/*"))


@pytest.mark.req("OC-POLICY-4047")
def test_a_proxy_of_the_environment_is_not_used_and_the_command_line_says_so(tmp_path: Path) -> None:
    data = b"weights"
    with far_end() as proxy, far_end() as far:
        far.answers["/m"] = (200, {}, data)
        config = tmp_path / "pools.yaml"
        config.write_text("outbound: {schemes: [http], private: ['127.0.0.1']}\n")
        ways = {"HTTP_PROXY": f"http://user:hunter2@127.0.0.1:{proxy.port}", "all_proxy": "http://127.0.0.1:1"}
        command = [sys.executable, "-m", "reference_server", "models", "--config", str(config), "fetch"]
        done = subprocess.run(
            [*command, f"http://127.0.0.1:{far.port}/m", "--digest", "sha256:" + hashlib.sha256(data).hexdigest()],
            env={**os.environ, **ways, cache.CACHE_ENV: str(tmp_path / "cache"), "NO_PROXY": ""},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    assert 0 == done.returncode, done.stderr
    assert data == Path(done.stdout.strip()).read_bytes()
    assert [] == proxy.asked
    assert 1 == done.stderr.count("HTTP_PROXY and all_proxy are set and not used")
    assert "hunter2" not in done.stderr


@pytest.mark.req("OC-POLICY-4047")
@pytest.mark.parametrize(("proxy", "told"), [("http://user:hunter2@proxy.example:3128", 1), ("", 0)])
def test_a_server_warns_of_a_proxy_when_it_starts_and_of_none_where_none_is_set(proxy: str, told: int) -> None:
    with server(HTTPS_PROXY=proxy, https_proxy="", HTTP_PROXY="", http_proxy="", ALL_PROXY="", all_proxy="") as made:
        process, _ = made
        process.terminate()
        assert process.stderr is not None
        lines = [json.loads(line) for line in process.stderr]

    warnings = [line for line in lines if "HTTPS_PROXY is set and not used" in line["event"]]
    assert ["warning"] * told == [line["level"] for line in warnings]
    assert "hunter2" not in json.dumps(lines)

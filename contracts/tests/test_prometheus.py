"""A real Prometheus scrapes the reference server under load: every alert rule evaluates, every query gives a result.

The engine is the embedded mock. The GPU gauges come from a stand-in exporter with the contract's labels: the mock
has no GPU, and no test may need one.
"""

import http.server
import json
import re
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import promql_parser as promql
import pytest

from contracts.tests.load import SETTINGS, put_under_load
from harness.history import now_ms
from harness.process import Process
from harness.target import REFERENCE_SERVER, Servers, Target
from tools import queries

ROOT = Path(__file__).resolve().parents[2]
READY_MS, DATA_MS, PAUSE_S = 30_000, 60_000, 0.2
LISTENING = re.compile(r'msg="Listening on" address=([\d.]+:\d+)')
GPU = '{engine="llamacpp",engine_version="x",pool_id="p",replica_id="r",device="0"}'
GPU_GAUGES = "".join(f"# HELP {n} GPU.\n# TYPE {n} gauge\n{n}{GPU} 7\n" for n in ("gpu_utilization", "vram_used_bytes"))

pytestmark = pytest.mark.real_part


class Prometheus:
    """One Prometheus, with a database that goes with the test."""

    def __init__(self, target: Target, gpu_url: str, folder: Path) -> None:
        rules = folder / "alerts.yaml"
        rules.write_text((ROOT / queries.ALERTS).read_text())
        jobs = [
            {"job_name": "server", "authorization": {"credentials": target.token}, "static_configs": _at(target.url)},
            {"job_name": "gpu-stand-in", "static_configs": _at(gpu_url)},
        ]
        config = {
            "global": {"scrape_interval": "200ms", "scrape_timeout": "200ms", "evaluation_interval": "500ms"},
            "rule_files": [str(rules)],
            "scrape_configs": jobs,
        }
        (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
        command = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
        self.process = Process([*command, "--web.listen-address=127.0.0.1:0"], folder=folder)
        self.process.wait_ready(lambda: "ready to receive web requests" in self._log(), deadline_ms=READY_MS)
        address = LISTENING.search(self._log())
        assert address is not None, self._log()
        self._http = httpx.Client(base_url=f"http://{address[1]}/api/v1/", trust_env=False, timeout=15)

    def get(self, path: str, **params: str) -> Any:
        """The data of an answer of its API, which has to be a success."""
        answer = self._http.get(path, params=params).json()
        assert "success" == answer["status"], (params, answer)
        return answer["data"]

    def count(self, query: str) -> int:
        """How many series a query gives now."""
        return len(self.get("query", query=query)["result"])

    def wait(self, condition: Any, *, what: str) -> None:
        """Until `condition` holds, by a deadline."""
        until_ms = now_ms() + DATA_MS
        tick = threading.Event()
        while not condition():
            assert now_ms() < until_ms, f"waited {DATA_MS} ms for {what}"
            tick.wait(PAUSE_S)

    def stop(self) -> None:
        """End it."""
        self._http.close()
        self.process.stop(deadline_ms=10_000)

    def _log(self) -> str:
        return self.process.stderr.read_text()


def _at(url: str) -> list[dict[str, list[str]]]:
    return [{"targets": [url.removeprefix("http://")]}]


class Exporter(http.server.BaseHTTPRequestHandler):
    """The stand-in of the GPU gauges."""

    def do_GET(self) -> None:
        body = GPU_GAUGES.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """With all that the load has left in it."""
    folder = tmp_path_factory.mktemp("prometheus")
    servers = Servers(REFERENCE_SERVER, folder=folder / "servers")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Exporter) as exporter:
        threading.Thread(target=exporter.serve_forever, daemon=True).start()
        try:
            target = servers.start(SETTINGS)
            put_under_load(target)  # what is counted later is a rise: each series has begun
            started = Prometheus(target, f"http://127.0.0.1:{exporter.server_port}", folder)
            try:
                started.wait(partial(started.count, "queue_depth"), what="a first scrape")
                put_under_load(target)
                rise = 'sum(increase(tasks_started_total{priority="interactive"}[5m])) > 0'
                started.wait(partial(started.count, rise), what="the load to show")
                yield started
            finally:
                started.stop()
        finally:
            servers.stop()
            exporter.shutdown()


@pytest.mark.req("OC-METRICS-7122")
@pytest.mark.parametrize("query", list(queries.panels(ROOT)), ids=lambda query: f"{query.place}: {query.shown}")
def test_every_dashboard_query_gives_a_result_with_a_stand_in_gpu(prometheus: Prometheus, query: queries.Query) -> None:
    assert prometheus.count(query.text) > 0


@pytest.mark.req("OC-METRICS-7122", "ORCH-3041")
def test_every_alert_rule_evaluates_and_finds_its_series(prometheus: Prometheus) -> None:
    def rules() -> list[dict[str, Any]]:
        return [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]

    prometheus.wait(lambda: all(rule["health"] != "unknown" for rule in rules()), what="a first evaluation")

    shipped = list(queries.alerts(ROOT))
    assert len(shipped) == len(rules())
    assert [] == [(rule["name"], rule.get("lastError")) for rule in rules() if rule["health"] != "ok"]
    read = {(alert.place, str(read)) for alert in shipped for read in queries.selectors(promql.parse(alert.text))}
    assert [] == [(place, text) for place, text in sorted(read) if not prometheus.count(text)]


@pytest.mark.req("OC-METRICS-7122", "OC-TEST-7006")
@pytest.mark.parametrize("text", ['queue_depth{priority="high"}', "of_last_year", "rate(of_last_year[5m])"])
def test_a_query_on_what_is_not_there_is_seen_to_be_empty(prometheus: Prometheus, text: str) -> None:
    assert 0 == prometheus.count(text)


@pytest.mark.req("OC-METRICS-7122", "OC-TEST-7006")
def test_a_query_in_error_is_seen(prometheus: Prometheus) -> None:
    with pytest.raises(AssertionError, match="bad_data"):
        prometheus.count("sum(")

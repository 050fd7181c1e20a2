"""Dashboards and alert rules name only what the metrics contract has; each kind of stale query is found."""

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.checks.metrics import series_contract
from tools import queries

ROOT = Path(__file__).resolve().parents[2]
BOARD = queries.DASHBOARDS / "engines.json"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "contracts" / "metrics", tmp_path / "contracts" / "metrics")
    return tmp_path


@pytest.mark.req("OC-METRICS-7121", "ORCH-3041")
def test_what_we_ship_names_only_what_there_is() -> None:
    assert [] == queries.problems(ROOT)


@pytest.mark.req("OC-METRICS-7121", "OC-TEST-7006")
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("tasks_enqeued_total", "no series tasks_enqeued_total", id="series"),
        pytest.param("sum(rate(task_total[5m]))", "no series task_total", id="series-inside"),
        pytest.param("latency_decode_ms", "no series latency_decode_ms", id="histogram-without-a-part"),
        pytest.param("queue_depth_bucket", "no series queue_depth_bucket", id="part-of-no-histogram"),
        pytest.param('{engine="vllm"}', "no series None", id="no-name"),
        pytest.param('queue_depth{pool="a"}', "no label pool", id="label"),
        pytest.param('queue_depth{priority="high"}', "priority is never 'high'", id="value"),
        pytest.param('queue_depth{priority=~"batch|low"}', "priority is never 'low'", id="one-of-two-values"),
        pytest.param('model_state{state!="active"}', "state is never 'active'", id="value-in-small-letters"),
        pytest.param('tasks_rejected_total{reason="FULL"}', "reason is never 'FULL'", id="error-code"),
        pytest.param("sum by (device) (queue_depth)", "label device is on none", id="grouped-by"),
        pytest.param("sum without (device) (queue_depth)", "label device is on none", id="grouped-without"),
        pytest.param("queue_depth / on (pool) queue_depth", "label pool is on none", id="matched-on"),
        pytest.param("queue_depth / on (engine) group_left (pool) queue_depth", "label pool is on none", id="carried"),
        pytest.param("sum(", "not PromQL", id="syntax"),
    ],
)
def test_a_stale_query_is_found(text: str, problem: str) -> None:
    (found,) = queries.wrong(queries.Query("x", text), series_contract())

    assert problem in found


@pytest.mark.req("OC-METRICS-7121", "OC-TEST-7006")
@pytest.mark.parametrize("shown", ["{{device}}", "{{ $labels.device }} is full"])
def test_a_legend_or_text_with_a_label_that_is_not_there_is_found(shown: str) -> None:
    (found,) = queries.wrong(queries.Query("x", "queue_depth", shown), series_contract())

    assert "label device is on none of its series" == found


def narrow(board: dict[str, Any]) -> None:
    board["panels"][1]["id"] = board["panels"][0]["id"]


def wide(board: dict[str, Any]) -> None:
    board["panels"][1]["gridPos"]["w"] = 13


def covering(board: dict[str, Any]) -> None:
    board["panels"][1]["gridPos"] = copy.copy(board["panels"][0]["gridPos"])


def empty(board: dict[str, Any]) -> None:
    board["panels"][1]["targets"] = []


def stale(board: dict[str, Any]) -> None:
    board["panels"][1]["targets"][0]["expr"] = "of_last_year"


def variable(board: dict[str, Any]) -> None:
    board["templating"]["list"][1]["query"] = "label_values(queue_depth, device)"


@pytest.mark.req("OC-METRICS-7121", "OC-TEST-7006")
@pytest.mark.parametrize(
    ("harm", "problem"),
    [
        pytest.param(narrow, "two panels share an id", id="id"),
        pytest.param(wide, "wider than the grid", id="too-wide"),
        pytest.param(covering, "lies over", id="overlap"),
        pytest.param(empty, "no query", id="no-query"),
        pytest.param(stale, "Breakers: no series of_last_year", id="stale-panel"),
        pytest.param(variable, "$pool: label device is on none", id="stale-variable"),
    ],
)
def test_a_broken_dashboard_is_found(root: Path, harm: Callable[[dict[str, Any]], None], problem: str) -> None:
    board = json.loads((root / BOARD).read_text())
    harm(board)
    (root / BOARD).write_text(json.dumps(board))

    (found,) = queries.problems(root)

    assert problem in found


@pytest.mark.req("OC-METRICS-7121", "OC-TEST-7006")
def test_a_stale_alert_is_found(root: Path) -> None:
    rules = root / queries.ALERTS
    rules.write_text(rules.read_text().replace("expr: breaker_open == 1", "expr: breaker_state == 1"))

    assert ["contracts/metrics/alerts.yaml: BreakerOpen: no series breaker_state in the metrics contract"] == (
        queries.problems(root)
    )


@pytest.mark.req("ORCH-3041")
def test_both_priorities_have_alerts_and_every_series_is_on_a_dashboard() -> None:
    texts = [query.text for query in queries.alerts(ROOT)]
    shown = " ".join(query.text for query in queries.panels(ROOT))

    assert {"interactive", "batch"} <= {p for p in ("interactive", "batch") for t in texts if f'priority="{p}"' in t}
    assert [] == [name for name in series_contract()["series"] if name not in shown]


def test_an_empty_folder_is_no_pass(root: Path) -> None:
    (root / queries.ALERTS).write_text("groups: []\n")
    shutil.rmtree(root / queries.DASHBOARDS)

    (found,) = queries.problems(root)

    assert "no query found" in found

"""The alert rules, as promtool checks them and as their own tests say when each fires."""

import subprocess
from pathlib import Path

import pytest
import yaml

METRICS = Path(__file__).parent.parent / "metrics"
ALERTS, TESTS = METRICS / "alerts.yaml", METRICS / "alerts.test.yaml"

pytestmark = pytest.mark.real_part


def promtool(*arguments: str, folder: Path = METRICS) -> subprocess.CompletedProcess[str]:
    """Prometheus' own tool."""
    return subprocess.run(["promtool", *arguments], cwd=folder, capture_output=True, text=True, check=False)  # noqa: S607


@pytest.mark.req("ORCH-3041")
def test_prometheus_takes_the_rules() -> None:
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", str(ALERTS))

    assert 0 == done.returncode, done.stdout + done.stderr


@pytest.mark.req("ORCH-3041")
def test_each_alert_fires_when_it_is_time_and_is_quiet_when_all_is_well() -> None:
    done = promtool("test", "rules", str(TESTS))

    assert 0 == done.returncode, done.stdout + done.stderr


@pytest.mark.req("ORCH-3041", "OC-TEST-7006")
def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    named = {rule["alert"] for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]}
    cases = [case for test in yaml.safe_load(TESTS.read_text())["tests"] for case in test["alert_rule_test"]]

    assert named == {case["alertname"] for case in cases if case["exp_alerts"]}
    assert named == {case["alertname"] for case in cases if not case["exp_alerts"]}


@pytest.mark.req("ORCH-3041", "OC-TEST-7006")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("> 2000", "> 20000", id="threshold"),
        pytest.param("breaker_open == 1", "breaker_open == 0", id="condition"),
        pytest.param('priority="batch"', 'priority="interactive"', id="priority"),
        pytest.param("ADMISSION_REJECT", "CONFLICT", id="reason"),
    ],
)
def test_a_wrong_rule_fails_its_tests(tmp_path: Path, old: str, new: str) -> None:
    assert old in ALERTS.read_text()
    (tmp_path / "alerts.yaml").write_text(ALERTS.read_text().replace(old, new))
    (tmp_path / "alerts.test.yaml").write_text(TESTS.read_text())

    assert 1 == promtool("test", "rules", "alerts.test.yaml", folder=tmp_path).returncode

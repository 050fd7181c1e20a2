"""The metrics contract is met by a right scrape, and every rule catches what it is there for."""

from collections.abc import Mapping
from typing import Any

import pytest

from harness.checks import metrics as rules

CONTRACT: Mapping[str, Any] = {
    "budgets": {"engine": 2, "pool_id": 2},
    "values": {"engine": ["llamacpp", "vllm"]},
    "optional_labels": ["trtllm_version"],
    "foreign_prefixes": ["process_"],
    "exceptions": {"abbreviated-unit": ["decode_ms"]},
    "series": {
        "tasks_total": {"type": "counter", "unit": "tasks", "labels": ["engine", "pool_id"]},
        "depth": {"type": "gauge", "unit": "tasks", "labels": ["pool_id"]},
        "load_ratio": {"type": "gauge", "unit": "ratio", "labels": ["result"], "values": {"result": ["ok", "failed"]}},
        "decode_ms": {"type": "histogram", "unit": "milliseconds", "labels": ["engine"]},
    },
}

RIGHT = """\
# HELP tasks_total Tasks.
# TYPE tasks_total counter
tasks_total{engine="llamacpp",pool_id="a"} 3
tasks_total{engine="vllm",pool_id="a"} 4
# HELP depth Waiting.
# TYPE depth gauge
depth{pool_id="a"} 0
# HELP load_ratio Load.
# TYPE load_ratio gauge
load_ratio{result="ok"} 0.5
# HELP decode_ms Time.
# TYPE decode_ms histogram
decode_ms_bucket{engine="llamacpp",le="10"} 1
decode_ms_bucket{engine="llamacpp",le="+Inf"} 2
decode_ms_count{engine="llamacpp"} 2
decode_ms_sum{engine="llamacpp"} 15.5
# HELP process_open_fds Of its runtime.
# TYPE process_open_fds gauge
process_open_fds{anything="x"} 1
"""

ALL = (*rules.CHECKS, *rules.RECOMMENDED)
TASK = "3d6f0a8e-2b5c-4d1e-8f90-1a2b3c4d5e6f"
MS = 'decode_ms_bucket{engine="llamacpp",le='

# What each rule catches: a name, what stands in RIGHT, and what stands there instead.
PLANTED: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "declared_with_their_types": {
        "undeclared": ("# TYPE depth gauge\n", ""),
        "other-type": ("depth gauge", "depth counter"),
        "counter-without-total": ("tasks_total", "tasks"),
    },
    "labelled_as_agreed": {
        "label-missing": ('depth{pool_id="a"}', "depth"),
        "label-too-many": ('depth{pool_id="a"}', 'depth{pool_id="a",x="1"}'),
        "label-instead": ('depth{pool_id="a"}', 'depth{pool="a"}'),
        "le-outside-a-bucket": ('sum{engine="llamacpp"}', 'sum{engine="llamacpp",le="1"}'),
    },
    "valued_as_listed": {
        "in-the-whole-contract": ('sum{engine="llamacpp"}', 'sum{engine="other"}'),
        "in-one-series": ('result="ok"', 'result="fine"'),
        "in-capitals": ('result="ok"', 'result="OK"'),
    },
    "in_their_units": {
        "ratio-in-percent": ("} 0.5", "} 50"),
        "below-zero": ('depth{pool_id="a"} 0', 'depth{pool_id="a"} -1'),
        "not-a-number": ('depth{pool_id="a"} 0', 'depth{pool_id="a"} NaN'),
        "no-end": ('depth{pool_id="a"} 0', 'depth{pool_id="a"} +Inf'),
        "half-a-task": ('depth{pool_id="a"} 0', 'depth{pool_id="a"} 0.5'),
    },
    "within_budgets": {
        "over": ('depth{pool_id="a"} 0', "\n".join(f'depth{{pool_id="{name}"}} 0' for name in "abc")),
    },
    "keyed_by_nobody": {
        "value-is-a-task": ('depth{pool_id="a"}', f'depth{{pool_id="{TASK}"}}'),
        "value-is-a-task-without-dashes": ('depth{pool_id="a"}', f'depth{{pool_id="{TASK.replace("-", "")}"}}'),
        "label-is-a-session": ('depth{pool_id="a"}', 'depth{session_id="a"}'),
        "label-is-a-user-of-a-foreign-series": ("anything=", "user="),
    },
    "each_once": {"twice": ('depth{pool_id="a"} 0', 'depth{pool_id="a"} 0\ndepth{pool_id="a"} 1')},
    "cumulative": {
        "falling": (f'{MS}"10"}} 1', f'{MS}"10"}} 3'),
        "no-infinity": (f'{MS}"+Inf"}} 2\n', ""),
        "not-its-count": ('count{engine="llamacpp"} 2', 'count{engine="llamacpp"} 7'),
        "no-sum": ('decode_ms_sum{engine="llamacpp"} 15.5\n', ""),
    },
    "named_by_convention": {
        "no-help": ("# HELP depth Waiting.\n", ""),
        "foreign-name": ("process_open_fds", "process_openFds"),
        "abbreviated-and-not-excepted": ("process_open_fds", "process_up_ms"),
    },
    "nothing_beside_them": {"unlisted": ("process_open_fds", "of_its_own")},
}


@pytest.mark.req("OC-METRICS-7101")
@pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize(
    "text",
    [
        pytest.param(RIGHT, id="right"),
        pytest.param(RIGHT.replace('depth{pool_id="a"}', 'depth{pool_id="a",trtllm_version="1"}'), id="optional-label"),
    ],
)
def test_a_right_scrape_passes(rule: rules.Rule, text: str) -> None:
    assert [] == list(rule(rules.parse(text), CONTRACT))


@pytest.mark.req("OC-METRICS-7101", "OC-METRICS-7102", "OC-METRICS-7103", "OC-METRICS-7105", "OC-METRICS-7106")
@pytest.mark.req("OC-METRICS-7107", "OC-METRICS-7108", "OC-TEST-7006")
@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        pytest.param(name, old, new, id=f"{name}-{case}")
        for name, cases in PLANTED.items()
        for case, (old, new) in cases.items()
    ],
)
def test_a_planted_violation_is_caught_by_its_rule(name: str, old: str, new: str) -> None:
    assert old in RIGHT
    (rule,) = (rule for rule in ALL if rule.__name__ == name)

    (finding,) = rule(rules.parse(RIGHT.replace(old, new)), CONTRACT)

    assert finding.req.startswith("OC-METRICS-71")
    assert finding.series


@pytest.mark.req("OC-TEST-7006")
def test_every_rule_has_a_planted_violation() -> None:
    assert {rule.__name__ for rule in ALL} == PLANTED.keys()


@pytest.mark.req("OC-METRICS-7107")
def test_a_unit_that_openmetrics_declares_is_the_contracts() -> None:
    text = (
        "# HELP load_ratio Load.\n# TYPE load_ratio gauge\n# UNIT load_ratio ratio\n"
        'load_ratio{result="ok"} 0.5\n# EOF\n'
    )
    other = dict(CONTRACT["series"]["load_ratio"], unit="percent")
    scrape = rules.parse_openmetrics(text)
    (rule,) = (rule for rule in ALL if rule.__name__ == "in_their_units")

    (finding,) = rule(scrape, {**CONTRACT, "series": {"load_ratio": other}})

    assert [] == list(rule(scrape, CONTRACT))
    assert ("ratio", 1) == (finding.actual, finding.line)


@pytest.mark.req("OC-METRICS-7120")
def test_a_finding_knows_its_line() -> None:
    (finding,) = rules.CHECKS[1](rules.parse(RIGHT.replace('depth{pool_id="a"}', "depth")), CONTRACT)

    assert ("depth", 7) == (finding.series, finding.line)


def test_totals_add_up_the_series_with_the_given_labels() -> None:
    scrape = rules.parse(RIGHT)

    assert (7, 3, 0) == (
        scrape.total("tasks_total"),
        scrape.total("tasks_total", engine="llamacpp"),
        scrape.total("tasks_total", engine="tgi"),
    )


@pytest.mark.req("OC-CORE-1041")
def test_a_counter_that_rose_is_fine() -> None:
    assert [] == list(rules.counters_never_fall(rules.parse(RIGHT), rules.parse(RIGHT.replace("} 3", "} 9"))))


@pytest.mark.req("OC-CORE-1041")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("} 3", "} 2", id="fell"),
        pytest.param('tasks_total{engine="llamacpp",pool_id="a"} 3\n', "", id="vanished"),
        pytest.param('le="10"} 1', 'le="10"} 0', id="bucket-fell"),
    ],
)
def test_a_counter_that_fell_is_caught(old: str, new: str) -> None:
    (violation,) = rules.counters_never_fall(rules.parse(RIGHT), rules.parse(RIGHT.replace(old, new)))

    assert "OC-CORE-1041" == violation.req


@pytest.mark.req("OC-METRICS-7101")
def test_the_installed_contract_has_what_the_checks_read() -> None:
    contract = rules.series_contract()

    assert {"budgets", "values", "optional_labels", "series"} <= contract.keys()
    assert "tasks_enqueued_total" in contract["series"]
    assert "ADMISSION_REJECT" in (rules.allowed_values(contract, "tasks_rejected_total", "reason") or [])

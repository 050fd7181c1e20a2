"""The metrics contract is met by a right scrape and catches every kind of wrong one."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from harness.checks import metrics as rules
from harness.checks.violation import Violation

Rule = Callable[[rules.Scrape, Mapping[str, Any]], Iterator[Violation]]

CONTRACT: Mapping[str, Any] = {
    "budgets": {"engine": 2, "pool_id": 2},
    "values": {"engine": ["llamacpp", "vllm"]},
    "optional_labels": ["trtllm_version"],
    "series": {
        "tasks_total": {"type": "counter", "labels": ["engine", "pool_id"]},
        "depth": {"type": "gauge", "labels": ["pool_id"]},
        "decode_ms": {"type": "histogram", "labels": ["engine"]},
    },
}

RIGHT = """\
# TYPE tasks_total counter
tasks_total{engine="llamacpp",pool_id="a"} 3
tasks_total{engine="vllm",pool_id="a"} 4
# TYPE depth gauge
depth{pool_id="a"} 0
# TYPE decode_ms histogram
decode_ms_bucket{engine="llamacpp",le="10"} 1
decode_ms_bucket{engine="llamacpp",le="+Inf"} 1
decode_ms_count{engine="llamacpp"} 1
decode_ms_sum{engine="llamacpp"} 5
# TYPE of_its_own gauge
of_its_own{anything="x"} 1
"""


@pytest.mark.req("OC-METRICS-7101")
@pytest.mark.parametrize("rule", rules.CHECKS, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize(
    "text",
    [
        pytest.param(RIGHT, id="right"),
        pytest.param(RIGHT.replace('depth{pool_id="a"}', 'depth{pool_id="a",trtllm_version="1"}'), id="optional-label"),
    ],
)
def test_a_right_scrape_passes(rule: Rule, text: str) -> None:
    assert [] == list(rule(rules.parse(text), CONTRACT))


@pytest.mark.req("OC-METRICS-7101", "OC-METRICS-7102")
@pytest.mark.parametrize(
    ("rule", "old", "new"),
    [
        pytest.param(rules.declared_with_their_types, "# TYPE depth gauge", "", id="undeclared"),
        pytest.param(rules.declared_with_their_types, "depth gauge", "depth counter", id="other-type"),
        pytest.param(rules.labelled_as_agreed, 'depth{pool_id="a"}', "depth", id="label-missing"),
        pytest.param(rules.labelled_as_agreed, 'depth{pool_id="a"}', 'depth{pool_id="a",x="1"}', id="label-too-many"),
        pytest.param(rules.labelled_as_agreed, 'sum{engine="llamacpp"}', 'sum{engine="other"}', id="value-not-listed"),
        pytest.param(
            rules.within_budgets,
            'depth{pool_id="a"} 0',
            "\n".join(f'depth{{pool_id="{name}"}} 0' for name in "abc"),
            id="over-budget",
        ),
        pytest.param(
            rules.within_budgets,
            'depth{pool_id="a"}',
            'depth{pool_id="3d6f0a8e-2b5c-4d1e-8f90-1a2b3c4d5e6f"}',
            id="keyed-by-a-task",
        ),
    ],
)
def test_a_wrong_scrape_is_caught(rule: Rule, old: str, new: str) -> None:
    assert old in RIGHT

    (violation,) = rule(rules.parse(RIGHT.replace(old, new)), CONTRACT)

    assert violation.req.startswith("OC-METRICS-71")


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

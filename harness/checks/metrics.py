"""The metrics contract held against one scrape: names, types, labels, values, budgets.

Source: ORCH-3028, OC-CORE-1041, OC-METRICS-7101, OC-METRICS-7102.
"""

import functools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import yaml
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from harness.checks.violation import Violation

HISTOGRAM_SUFFIXES = ("_bucket", "_count", "_sum")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of a scrape."""

    name: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Scrape:
    """One answer of `GET /metrics`.

    Attributes:
        types: of every declared family, by the name that the contract uses.
    """

    types: Mapping[str, str]
    samples: tuple[Sample, ...]

    def total(self, name: str, **labels: str) -> float:
        """The sum over all series of this name with at least these labels."""
        return sum(s.value for s in self.samples if s.name == name and labels.items() <= s.labels.items())


def parse(text: str) -> Scrape:
    """Read Prometheus text.

    Raises:
        ValueError: it is not.
    """
    return _scrape(text_string_to_metric_families(text))


def parse_openmetrics(text: str) -> Scrape:
    """Read OpenMetrics text, which is stricter: its last line is `# EOF`, and names follow its rules.

    Raises:
        ValueError: it is not.
    """
    return _scrape(openmetrics.text_string_to_metric_families(text))  # type: ignore[no-untyped-call]


def _scrape(parsed: Iterable[Metric]) -> Scrape:
    families = list(parsed)
    types = {f"{f.name}_total" if f.type == "counter" else f.name: f.type for f in families}
    samples = tuple(Sample(s.name, dict(s.labels), s.value) for f in families for s in f.samples)
    return Scrape(types, samples)


@functools.cache
def series_contract() -> dict[str, Any]:
    """`contracts/metrics/series.yaml`."""
    loaded: dict[str, Any] = yaml.safe_load(files("contracts").joinpath("metrics", "series.yaml").read_text("utf-8"))
    return loaded


def declared_with_their_types(scrape: Scrape, contract: Mapping[str, Any]) -> Iterator[Violation]:
    """Every series of the contract is exposed, with its type."""
    for name, series in contract["series"].items():
        found = scrape.types.get(name, "absent")
        if found != series["type"]:
            yield Violation("OC-METRICS-7101", f"{name} as a {series['type']}", found)


def labelled_as_agreed(scrape: Scrape, contract: Mapping[str, Any]) -> Iterator[Violation]:
    """Every sample has exactly the contract's labels, and values of the contract's lists."""
    optional = set(contract["optional_labels"])
    for sample in scrape.samples:
        series = contract["series"].get(_family(sample.name, contract["series"]))
        if series is None:
            continue
        wanted, found = set(series["labels"]), set(sample.labels) - ({"le"} if series["type"] == "histogram" else set())
        if found - optional != wanted:
            yield Violation("OC-METRICS-7101", f"{sample.name} with labels {sorted(wanted)}", f"{sorted(found)}")
        for label, values in contract["values"].items():
            if label in sample.labels and sample.labels[label] not in values:
                actual = f"{label}={sample.labels[label]!r}"
                yield Violation("OC-METRICS-7101", f"{sample.name}: {label} is one of {values}", actual)


def within_budgets(scrape: Scrape, contract: Mapping[str, Any]) -> Iterator[Violation]:
    """No label of a series has more values than its budget, and none names a task, a session or a user."""
    seen: dict[tuple[str, str], set[str]] = defaultdict(set)
    for sample in scrape.samples:
        for label, value in sample.labels.items():
            seen[_family(sample.name, contract["series"]), label].add(value)
            if UUID.search(value):
                yield Violation(
                    "OC-METRICS-7102", "no series keyed by a task or session", f"{sample.name}: {label}={value}"
                )
    for (name, label), values in seen.items():
        budget = contract["budgets"].get(label)
        if budget is not None and len(values) > budget:
            yield Violation("OC-METRICS-7102", f"{name}: at most {budget} values of {label}", f"{len(values)}")


def counters_never_fall(before: Scrape, after: Scrape) -> Iterator[Violation]:
    """A counter only rises while its server runs."""
    later = {(s.name, tuple(sorted(s.labels.items()))): s.value for s in after.samples}
    for sample in before.samples:
        key = (sample.name, tuple(sorted(sample.labels.items())))
        if sample.name.endswith("_total") and later.get(key, 0.0) < sample.value:
            actual = f"{later.get(key, 'absent')}"
            yield Violation("OC-CORE-1041", f"{sample.name}{dict(sample.labels)} of {sample.value} or more", actual)


CHECKS = (declared_with_their_types, labelled_as_agreed, within_budgets)
"""All that hold for every scrape."""


def _family(sample: str, series: Mapping[str, Any]) -> str:
    if sample in series:
        return sample
    return next((sample.removesuffix(s) for s in HISTOGRAM_SUFFIXES if sample.removesuffix(s) in series), sample)

"""The metrics contract held against one scrape: names, types, labels, values, units, budgets, and two scrapes apart.

A rule is a function from a scrape and the contract to what is wrong; `CHECKS` lists those of every scrape.

Source: ORCH-3028, OC-CORE-1041, OC-METRICS-7101 … OC-METRICS-7108.
"""

import functools
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.resources import files
from typing import Any

import yaml

from harness.checks.exposition import ExpositionError, Family, Sample, Scrape, parse, parse_openmetrics
from harness.checks.metric_names import named_by_convention
from harness.checks.violation import Finding
from harness.error_codes import registry

HISTOGRAM_SUFFIXES = ("_bucket", "_count", "_sum")
UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.IGNORECASE)
KEYS_OF_ONE = re.compile(
    r"(task|session|request|job|correlation|trace|span|prompt|user|client)(_?(id|name|hash|text))?|input|output",
    re.IGNORECASE,
)
CEILINGS: Mapping[str, float] = {"ratio": 1, "percent": 100, "boolean": 1}  # of units; all others are open above
FRACTIONS = ("ratio", "percent", "milliseconds")  # units whose values need not be whole

Contract = Mapping[str, Any]
Rule = Callable[[Scrape, Contract], Iterator[Finding]]


@functools.cache
def series_contract() -> dict[str, Any]:
    """`contracts/metrics/series.yaml`, with the error codes written out."""
    loaded: dict[str, Any] = yaml.safe_load(files("contracts").joinpath("metrics", "series.yaml").read_text("utf-8"))
    for series in loaded["series"].values():
        values = series.setdefault("values", {})
        values.update({label: sorted(registry()) for label, listed in values.items() if listed == "errors"})
    return loaded


def allowed_values(contract: Contract, series: str, label: str) -> list[str] | None:
    """What this label of this series may hold; None = anything within its budget."""
    own: Mapping[str, list[str]] = contract["series"].get(series, {}).get("values", {})
    listed: list[str] | None = own.get(label, contract["values"].get(label))
    return listed


def declared_with_their_types(scrape: Scrape, contract: Contract) -> Iterator[Finding]:
    """Every series of the contract is exposed, with its type."""
    for name, series in contract["series"].items():
        found = scrape.types.get(name, "absent")
        if found != series["type"]:
            line = scrape.families[name].line if name in scrape.families else 0
            yield Finding("OC-METRICS-7101", f"{name} as a {series['type']}", found, series=name, line=line)


def labelled_as_agreed(scrape: Scrape, contract: Contract) -> Iterator[Finding]:
    """Every sample of the contract's series has exactly the contract's labels."""
    optional = set(contract["optional_labels"])
    for sample, name, series in _contracted(scrape, contract):
        bucket = {"le"} if sample.name == f"{name}_bucket" and series["type"] == "histogram" else set()
        wanted, found = set(series["labels"]) | bucket, set(sample.labels)
        if found - (optional - wanted) != wanted:
            yield _of(sample, "OC-METRICS-7101", f"{sample.name} with labels {sorted(wanted)}", f"{sorted(found)}")


def valued_as_listed(scrape: Scrape, contract: Contract) -> Iterator[Finding]:
    """Labels with a list hold what is on it."""
    for sample, name, _ in _contracted(scrape, contract):
        for label, value in sample.labels.items():
            listed = allowed_values(contract, name, label)
            if listed is not None and value not in listed:
                expected = f"{sample.name}: {label} is one of {listed}"
                yield _of(sample, "OC-METRICS-7101", expected, f"{label}={value!r}")


def in_their_units(scrape: Scrape, contract: Contract) -> Iterator[Finding]:
    """Values are possible in the contract's unit, and a unit that OpenMetrics declares is that one."""
    for sample, name, series in _contracted(scrape, contract):
        if "unit" in series and (impossible := _impossible(sample, series)):
            yield _of(sample, "OC-METRICS-7107", f"{name} in {series['unit']}: {impossible}", f"{sample.value:g}")
    for name, family in scrape.families.items():
        unit = contract["series"].get(name, {}).get("unit")
        if unit is not None and family.unit and family.unit != unit:
            yield Finding("OC-METRICS-7107", f"{name} in {unit}", family.unit, series=name, line=family.line)


def within_budgets(scrape: Scrape, contract: Contract) -> Iterator[Finding]:
    """No label of a series has more values than its budget."""
    seen: dict[tuple[str, str], set[str]] = defaultdict(set)
    for sample in scrape.samples:
        for label, value in sample.labels.items():
            seen[_family(sample.name, contract["series"]), label].add(value)
    for (name, label), values in seen.items():
        budget = contract["budgets"].get(label)
        if budget is not None and len(values) > budget:
            line = scrape.families[name].line if name in scrape.families else 0
            expected = f"{name}: at most {budget} values of {label}"
            yield Finding("OC-METRICS-7102", expected, f"{len(values)}", series=name, line=line)


def keyed_by_nobody(scrape: Scrape, contract: Contract) -> Iterator[Finding]:
    """No series, of the contract or not, is keyed by a task, a session, a prompt or a user."""
    del contract
    for sample in scrape.samples:
        for label, value in sample.labels.items():
            if KEYS_OF_ONE.fullmatch(label) or UUID.search(value):
                yield _of(
                    sample,
                    "OC-METRICS-7103",
                    "no series keyed by a task, session, prompt or user",
                    f"{label}={value!r}",
                )


def each_once(scrape: Scrape, contract: Contract) -> Iterator[Finding]:
    """A name with the same labels is one line."""
    del contract
    first: dict[object, int] = {}
    for sample in scrape.samples:
        before = first.setdefault(_key(sample), sample.line)
        if before != sample.line:
            yield _of(sample, "OC-METRICS-7108", f"{sample.name} once with these labels", f"also in line {before}")


def cumulative(scrape: Scrape, contract: Contract) -> Iterator[Finding]:
    """Each histogram has rising buckets up to `+Inf`, which is its count, and a sum."""
    del contract
    for name, family in scrape.families.items():
        if family.type != "histogram":
            continue
        for labels, samples in _histograms(family).items():
            if wrong := _not_cumulative(name, samples):
                shown = ", ".join(f"{label}={value!r}" for label, value in labels)
                line = samples[0].line
                yield Finding("OC-METRICS-7108", f"{name}{{{shown}}} cumulative", wrong, series=name, line=line)


def nothing_beside_them(scrape: Scrape, contract: Contract) -> Iterator[Finding]:
    """Other series belong to a language runtime."""
    for name, family in scrape.families.items():
        if name not in contract["series"] and not name.startswith(tuple(contract.get("foreign_prefixes", ()))):
            expected = "no series beside the metrics contract and its prefixes of runtimes"
            yield Finding("OC-METRICS-7105", expected, name, series=name, line=family.line)


def counters_never_fall(before: Scrape, after: Scrape) -> Iterator[Finding]:
    """A counter, and what a histogram counts, only rises while its server runs."""
    later = {_key(s): s for s in after.samples}
    counted = {f"{n}{s}" for n, kind in before.types.items() if kind == "histogram" for s in HISTOGRAM_SUFFIXES}
    for sample in before.samples:
        found = later.get(_key(sample))
        is_counter = before.types.get(sample.name) == "counter" or sample.name in counted
        if is_counter and (found is None or found.value < sample.value):
            actual = "absent" if found is None else f"{found.value:g}"
            expected = f"{sample.name}{dict(sample.labels)} of {sample.value:g} or more"
            line = found.line if found else 0
            yield Finding("OC-CORE-1041", expected, actual, series=sample.name, line=line)


CHECKS: tuple[Rule, ...] = (
    *(declared_with_their_types, labelled_as_agreed, valued_as_listed, in_their_units, within_budgets),
    *(keyed_by_nobody, each_once, cumulative, named_by_convention),
)
"""All that hold for every scrape, each a MUST."""

RECOMMENDED: tuple[Rule, ...] = (nothing_beside_them,)
"""Each a SHOULD."""


def _of(sample: Sample, req: str, expected: str, actual: str) -> Finding:
    return Finding(req, expected, actual, series=sample.name, line=sample.line)


def _key(sample: Sample) -> tuple[str, tuple[tuple[str, str], ...]]:
    return sample.name, tuple(sorted(sample.labels.items()))


def _contracted(scrape: Scrape, contract: Contract) -> Iterator[tuple[Sample, str, Mapping[str, Any]]]:
    for sample in scrape.samples:
        name = _family(sample.name, contract["series"])
        if name in contract["series"]:
            yield sample, name, contract["series"][name]


def _family(sample: str, series: Mapping[str, Any]) -> str:
    if sample in series:
        return sample
    return next((sample.removesuffix(s) for s in HISTOGRAM_SUFFIXES if sample.removesuffix(s) in series), sample)


def _impossible(sample: Sample, series: Mapping[str, Any]) -> str:
    """What the value breaks; empty when it is fine."""
    ceiling = CEILINGS.get(series["unit"], math.inf)
    if not 0 <= sample.value <= ceiling or math.isinf(sample.value):
        return "a finite number from 0" + (f" to {ceiling:g}" if ceiling < math.inf else "")
    is_count = series["unit"] not in FRACTIONS or sample.name.endswith(("_bucket", "_count"))
    return "a whole number" if is_count and not sample.value.is_integer() else ""


def _histograms(family: Family) -> dict[tuple[tuple[str, str], ...], list[Sample]]:
    grouped: dict[tuple[tuple[str, str], ...], list[Sample]] = defaultdict(list)
    for sample in family.samples:
        grouped[tuple(sorted((k, v) for k, v in sample.labels.items() if k != "le"))].append(sample)
    return grouped


def _not_cumulative(name: str, samples: Iterable[Sample]) -> str:
    kept = list(samples)
    buckets = [(float(s.labels["le"]), s.value) for s in kept if s.name == f"{name}_bucket" and "le" in s.labels]
    counts = [s.value for s in kept if s.name == f"{name}_count"]
    if not counts or not any(s.name == f"{name}_sum" for s in kept):
        return "no _count or no _sum"
    if not any(math.isinf(bound) for bound, _ in buckets):
        return "no bucket +Inf"
    heights = [height for _, height in sorted(buckets)]
    if heights != sorted(heights):
        return f"buckets fall: {heights}"
    return f"+Inf has {heights[-1]:g}, _count {counts[0]:g}" if heights[-1] != counts[0] else ""


__all__ = [
    "CHECKS",
    "RECOMMENDED",
    "ExpositionError",
    "Family",
    "Finding",
    "Rule",
    "Sample",
    "Scrape",
    "allowed_values",
    "counters_never_fall",
    "parse",
    "parse_openmetrics",
    "series_contract",
]

"""Prometheus' naming conventions, in the words of `promtool check metrics`.

Each convention is a function from one family to what promtool would print about it. `exceptions` of the metrics
contract take single names out of one convention.

Source: OC-METRICS-7106; the rules and word lists of client_golang's promlint.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import Any

from harness.checks.exposition import Family, Scrape
from harness.checks.violation import Finding

BASE_OF: Mapping[str, str] = {
    **{unit: unit for unit in ("amperes", "bytes", "celsius", "grams", "joules", "kelvin", "meters", "metres")},
    **{unit: unit for unit in ("seconds", "volts")},
    **dict.fromkeys(("minutes", "hours", "days", "weeks"), "seconds"),
    **dict.fromkeys(("fahrenheit", "rankine"), "celsius"),
    **dict.fromkeys(("inches", "yards", "miles"), "meters"),
    **dict.fromkeys(("pounds", "ounces"), "grams"),
    "kelvins": "kelvin",
    "bits": "bytes",
    "calories": "joules",
}
PREFIXES = (
    *("", "pico", "nano", "micro", "milli", "centi", "deci", "deca", "hecto", "kilo", "kibi", "mega", "mibi", "giga"),
    *("gibi", "tera", "tebi", "peta", "pebi"),
)
UNITS: Mapping[str, str] = {prefix + unit: BASE_OF[unit] for prefix, unit in product(PREFIXES, BASE_OF)}
ABBREVIATIONS = re.compile(r"_(?:s|ms|us|ns|sec|b|kb|mb|gb|tb|pb|m|h|d)(?:_|$)", re.IGNORECASE)
TYPE_NAMES = ("counter", "gauge", "summary", "histogram", "gauge_histogram")
CAMEL = re.compile(r"[a-z][A-Z]")

Convention = Callable[[Family], Iterator[str]]


def help_text(family: Family) -> Iterator[str]:
    """Every family has one."""
    if family.help is None:
        yield "no help text"


def base_unit(family: Family) -> Iterator[str]:
    """Seconds and not hours, bytes and not kilobytes."""
    for unit in family.name.split("_"):
        if UNITS.get(unit, unit) != unit:
            yield f'use base unit "{UNITS[unit]}" instead of "{unit}"'


def total_suffix(family: Family) -> Iterator[str]:
    """Counters end in `_total`, and nothing else does."""
    is_total = family.name.endswith("_total")
    if family.type == "counter" and not is_total:
        yield 'counter metrics should have "_total" suffix'
    elif _is_typed(family) and family.type != "counter" and is_total:
        yield 'non-counter metrics should not have "_total" suffix'


def reserved_names(family: Family) -> Iterator[str]:
    """Suffixes and labels of histograms and summaries belong to those."""
    if not _is_typed(family):
        return
    is_histogram, is_summary = family.type == "histogram", family.type == "summary"
    labels = [label for sample in family.samples for label in sample.labels]
    if not is_histogram and family.name.endswith("_bucket"):
        yield 'non-histogram metrics should not have "_bucket" suffix'
    for suffix in ("_count", "_sum"):
        if not is_histogram and not is_summary and family.name.endswith(suffix):
            yield f'non-histogram and non-summary metrics should not have "{suffix}" suffix'
    if not is_histogram and "le" in labels:
        yield 'non-histogram metrics should not have "le" label'
    if not is_summary and "quantile" in labels:
        yield 'non-summary metrics should not have "quantile" label'


def type_in_name(family: Family) -> Iterator[str]:
    """The type is metadata, no later part of the name."""
    for kind in TYPE_NAMES:
        if re.search(rf"_{kind}(?:_|$)", family.name.lower()):
            yield f"metric name should not include type '{kind}'"


def reserved_characters(family: Family) -> Iterator[str]:
    """Colons are for recording rules."""
    if ":" in family.name:
        yield "metric names should not contain ':'"


def snake_case(family: Family) -> Iterator[str]:
    """Names and labels are written in it."""
    if CAMEL.search(family.name):
        yield "metric names should be written in 'snake_case' not 'camelCase'"
    if any(CAMEL.search(label) for sample in family.samples for label in sample.labels):
        yield "label names should be written in 'snake_case' not 'camelCase'"


def abbreviated_unit(family: Family) -> Iterator[str]:
    """Units are written out."""
    if ABBREVIATIONS.search(family.name):
        yield "metric names should not contain abbreviated units"


CONVENTIONS: tuple[Convention, ...] = (
    *(help_text, base_unit, total_suffix, reserved_names, type_in_name, reserved_characters, snake_case),
    abbreviated_unit,
)


def problems(family: Family) -> list[tuple[str, str]]:
    """What promtool would say of this family: the convention's name and the text."""
    said = [(_title(convention), text) for convention in CONVENTIONS for text in convention(family)]
    return list(dict.fromkeys(said))


def named_by_convention(scrape: Scrape, contract: Mapping[str, Any]) -> Iterator[Finding]:
    """Every family keeps the conventions from which the contract does not except it."""
    excepted = contract.get("exceptions", {})
    for name, family in scrape.families.items():
        shown = Family(name, family.line, family.type, family.help, family.unit, family.samples)
        for convention, text in problems(shown):
            if name not in excepted.get(convention, ()):
                expected = f"{name} named and described by convention ({convention})"
                yield Finding("OC-METRICS-7106", expected, text, series=name, line=family.line)


def _is_typed(family: Family) -> bool:
    return family.type not in (None, "untyped", "unknown")


def _title(convention: Convention) -> str:
    return convention.__name__.replace("_", "-")

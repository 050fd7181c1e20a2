"""Reads Prometheus text as strictly as Prometheus does, and remembers the lines: findings need them.

prometheus_client's reader of this format takes much that Prometheus refuses, renames counters and knows no lines. Its
reader of OpenMetrics is the strict one of the format's own project, so it judges OpenMetrics before this one reads it.

Grammar of a line: nothing, a comment, `# HELP name text`, `# TYPE name type`, or `name{label="value",…} value [time]`.
Source: Prometheus exposition formats 0.0.4; OpenMetrics 1.0.
"""

import io
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NoReturn

from prometheus_client.openmetrics import parser as openmetrics

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
VALUE = re.compile(r'"((?:[^"\\\n]|\\[\\n"])*)"')
FLOAT = re.compile(
    r"[+-]?(?:\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|inf(?:inity)?|nan)", re.IGNORECASE | re.ASCII
)
INTEGER = re.compile(r"[+-]?\d{1,19}", re.ASCII)
ESCAPE = re.compile(r"\\(.)", re.DOTALL)
PLAIN = {"n": "\n", "\\": "\\", '"': '"'}
BLANK = " \t"
TYPES = frozenset({"counter", "gauge", "histogram", "summary", "untyped"})
SUFFIXES: Mapping[str, tuple[str, ...]] = {
    "histogram": ("_bucket", "_count", "_sum"),
    "summary": ("_count", "_sum"),
    "counter": ("_total", "_created"),  # OpenMetrics: the family has the name without them
}
SHOWN = 60  # characters of a line in an error


class ExpositionError(ValueError):
    """Not an exposition; `line` counts from 1: where the reader stopped, of OpenMetrics maybe a line too late."""

    def __init__(self, line: int, why: str) -> None:
        self.line, self.why = line, why
        super().__init__(f"line {line}: {why}" if line else why)


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of a scrape.

    Attributes:
        line: counted from 1.
    """

    name: str
    labels: Mapping[str, str]
    value: float
    line: int = 0


@dataclass(slots=True)
class Family:
    """One metric as it is exposed: the lines that declare it, and its samples.

    Attributes:
        type: None = not declared.
        help: None = without one.
        unit: OpenMetrics only.
        line: where it is first named.
    """

    name: str
    line: int
    type: str | None = None
    help: str | None = None
    unit: str | None = None
    samples: list[Sample] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Scrape:
    """One answer of `GET /metrics`.

    Attributes:
        types: of every declared family, by the name that the contract uses.
        families: as exposed, by the name that the contract uses.
    """

    types: Mapping[str, str]
    samples: tuple[Sample, ...]
    families: Mapping[str, Family] = field(default_factory=dict)

    def total(self, name: str, **labels: str) -> float:
        """The sum over all series of this name with at least these labels."""
        return sum(s.value for s in self.samples if s.name == name and labels.items() <= s.labels.items())


def parse(text: str) -> Scrape:
    """Read Prometheus text.

    Raises:
        ExpositionError: it is not; Prometheus would refuse it too.
    """
    return _scrape(_Reader(is_openmetrics=False).read(text), lambda family: family.name)


def parse_openmetrics(text: str) -> Scrape:
    """Read OpenMetrics text, which is stricter: its last line is `# EOF`, and names follow its rules.

    Raises:
        ExpositionError: it is not.
    """
    at = 0

    def lines() -> Iterator[str]:
        nonlocal at
        for at, line in enumerate(io.StringIO(text), 1):  # noqa: B007 - read below, where the reader stopped
            yield line

    try:
        for _ in openmetrics.text_fd_to_metric_families(lines()):  # type: ignore[no-untyped-call]
            continue
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
        why = str(error)[:SHOWN] if isinstance(error, ValueError) else ""
        raise ExpositionError(at, f"not OpenMetrics: {why or 'its reader cannot take this line'}") from None
    return _scrape(_Reader(is_openmetrics=True).read(text), _with_total)


def _scrape(families: Mapping[str, Family], name_of: Callable[[Family], str]) -> Scrape:
    named = {name_of(family): family for family in families.values() if family.type or family.samples}
    types = {name: family.type for name, family in named.items() if family.type is not None}
    samples = sorted((s for family in families.values() for s in family.samples), key=lambda s: s.line)
    return Scrape(types, tuple(samples), named)


def _with_total(family: Family) -> str:
    """OpenMetrics declares a counter without the `_total` that its samples carry."""
    return f"{family.name}_total" if family.type == "counter" else family.name


class _Reader:
    """One pass over one text."""

    def __init__(self, *, is_openmetrics: bool) -> None:
        self._is_openmetrics = is_openmetrics
        self._families: dict[str, Family] = {}
        self._line = 0

    def read(self, text: str) -> Mapping[str, Family]:
        """All families, in their order."""
        lines = text.split("\n")  # no other character ends a line: a label's value may hold \r or U+2028
        if lines[-1].strip(BLANK):
            raise ExpositionError(len(lines), "the text ends inside a line: is it truncated?")
        for self._line, line in enumerate(lines, 1):
            rest = line.lstrip(BLANK)
            if rest.startswith("#"):
                self._comment(rest[1:].lstrip(BLANK))
            elif rest:
                self._sample(rest)
        return self._families

    def _comment(self, rest: str) -> None:
        match = re.match(r"(HELP|TYPE|UNIT)[ \t]+(.*)", rest, re.DOTALL)
        if match is None or (match[1] == "UNIT" and not self._is_openmetrics):
            return
        name = NAME.match(match[2])
        if name is None or match[2][name.end() : name.end() + 1] not in ("", *BLANK):
            self._fail("no metric name in the comment", rest)
        text = match[2][name.end() :].lstrip(BLANK)
        if match[2][name.end() :]:  # a name alone declares nothing
            self._declare(match[1], self._family(name[0]), text)

    def _declare(self, what: str, family: Family, text: str) -> None:
        if what == "HELP" and text:
            if family.help is not None:
                self._fail(f"a second HELP of {family.name}", text)
            family.help = self._unescaped(text, '\\n"' if self._is_openmetrics else "\\n")
        elif what == "TYPE" and text:
            if family.type is not None or family.samples:
                self._fail(f"a second TYPE of {family.name}, or one after its samples", text)
            family.type = text.lower()
            if not self._is_openmetrics and family.type not in TYPES:
                self._fail("no such type", text)
        elif what == "UNIT":
            family.unit = text

    def _family(self, name: str) -> Family:
        """The family that a line with this name belongs to: a histogram's parts are its own."""
        if name in self._families:
            return self._families[name]
        for kind, suffixes in SUFFIXES.items():
            for suffix in suffixes:
                family = self._families.get(name.removesuffix(suffix)) if name.endswith(suffix) else None
                if family is not None and family.type == kind and (kind != "counter" or self._is_openmetrics):
                    return family
        return self._families.setdefault(name, Family(name, self._line))

    def _sample(self, rest: str) -> None:
        name = NAME.match(rest)
        if name is None:
            self._fail("no metric name", rest)
        family = self._family(name[0])
        after = rest[name.end() :].lstrip(BLANK)
        labels, after = self._labels(after[1:]) if after.startswith("{") else ({}, after)
        if self._is_openmetrics:  # its own reader has judged times and exemplars
            after = after.partition(" # ")[0]
        value, blank, time = re.match(r"([^ \t]*)([ \t]*)(.*)", after, re.DOTALL).groups()  # type: ignore[union-attr]
        if not self._is_openmetrics and blank and not INTEGER.fullmatch(time):
            self._fail("no time in milliseconds after the value", after)
        family.samples.append(Sample(name[0], labels, self._float(value), self._line))
        for label in ("le", "quantile"):
            if label in labels and family.type == {"le": "histogram", "quantile": "summary"}[label]:
                self._float(labels[label])

    def _labels(self, rest: str) -> tuple[dict[str, str], str]:
        labels: dict[str, str] = {}
        while not (rest := rest.lstrip(BLANK)).startswith("}"):
            name = LABEL.match(rest)
            equals = rest[name.end() :].lstrip(BLANK) if name else ""
            value = VALUE.match(equals[1:].lstrip(BLANK)) if equals.startswith("=") else None
            if name is None or value is None or name[0] == "__name__":
                self._fail("no label here", rest)
            if name[0] in labels:
                self._fail(f"label {name[0]} twice", rest)
            labels[name[0]] = self._unescaped(value[1], '\\n"')
            rest = equals[1:].lstrip(BLANK)[value.end() :].lstrip(BLANK)
            if not rest.startswith((",", "}")):
                self._fail("no comma and no end after a label", rest)
            rest = rest.removeprefix(",")
        return labels, rest[1:].lstrip(BLANK)

    def _float(self, text: str) -> float:
        if not FLOAT.fullmatch(text):
            self._fail("no number", text)
        value = float(text)
        if math.isinf(value) and "n" not in text.lower():
            self._fail("a number beyond 64 bits", text)
        return value

    def _unescaped(self, text: str, known: str) -> str:
        if any(escape[1] not in known for escape in ESCAPE.finditer(text)):
            self._fail("an unknown escape", text)
        if text.endswith("\\") and (len(text) - len(text.rstrip("\\"))) % 2:
            self._fail("an escape of nothing", text)
        return ESCAPE.sub(lambda escape: PLAIN[escape[1]], text)

    def _fail(self, why: str, shown: str) -> NoReturn:
        raise ExpositionError(self._line, f"{why}: {shown[:SHOWN]!r}")

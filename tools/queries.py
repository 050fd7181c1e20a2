"""Holds the dashboards and alert rules against the metrics contract: every series, label and value in them exists.

Source: OC-METRICS-7121; Grafana's dashboard model; PromQL as promql_parser reads it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import promql_parser as promql
import yaml

from harness.checks.metrics import HISTOGRAM_SUFFIXES, allowed_values, series_contract

ALERTS = Path("contracts/metrics/alerts.yaml")
DASHBOARDS = Path("contracts/metrics/dashboards")
# What Grafana puts in for its variables, as far as a reader of the query must know.
VARIABLES: Mapping[str, str] = {"$__rate_interval": "5m", "$__range": "1h", "$pool": ".*"}
OF_THE_SCRAPE = frozenset({"instance", "job", "le"})
SHOWN_LABEL = re.compile(r"\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}")
LABEL_VALUES = re.compile(r"label_values\((\w+), (\w+)\)")
LITERALS = re.compile(r"[\w .-]+(?:\|[\w .-]+)*")
GRID_COLUMNS = 24

Contract = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Query:
    """One expression.

    Attributes:
        place: file, and the panel or alert.
        text: PromQL, with Grafana's variables filled in.
        shown: what is printed beside the result; names labels in `{{…}}`.
    """

    place: str
    text: str
    shown: str = ""


def problems(root: Path) -> list[str]:
    """One line for each thing that does not exist or is out of shape."""
    contract = series_contract()
    every = [*alerts(root), *panels(root)]
    if not every:
        return [f"{DASHBOARDS} and {ALERTS}: no query found"]
    return [*(f"{q.place}: {what}" for q in every for what in wrong(q, contract)), *_shapes(root)]


def alerts(root: Path) -> Iterator[Query]:
    """The expression of every alert rule."""
    loaded = yaml.safe_load((root / ALERTS).read_text(encoding="utf-8"))
    for rule in (rule for group in loaded["groups"] for rule in group["rules"]):
        yield Query(f"{ALERTS}: {rule['alert']}", rule["expr"], " ".join(rule["annotations"].values()))


def panels(root: Path) -> Iterator[Query]:
    """The expression of every panel, and the series behind every variable."""
    for path, board in _boards(root):
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                place = f"{path}: {panel['title']}"
                yield Query(place, filled(target["expr"]), target["legendFormat"])
        for variable in board["templating"]["list"]:
            for series, label in LABEL_VALUES.findall(str(variable["query"])):
                yield Query(f"{path}: ${variable['name']}", f"sum by ({label}) ({series})")


def filled(expression: str) -> str:
    """The query as Grafana would send it."""
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    return expression


def wrong(query: Query, contract: Contract) -> Iterator[str]:
    """What a query names that the contract does not have."""
    try:
        tree = promql.parse(query.text)
    except ValueError as error:
        yield f"not PromQL: {error}"
        return
    read = selectors(tree)
    for selector in read:
        yield from _wrong_selector(selector, contract)
    if any(_series_of(selector.name, contract) is None for selector in read):
        return  # whose labels nobody knows
    known = OF_THE_SCRAPE | set(chain.from_iterable(_labels(selector.name, contract) for selector in read))
    for label in chain(_grouped_by(_nodes(tree)), SHOWN_LABEL.findall(query.shown)):
        if label not in known and label != "value":
            yield f"label {label} is on none of its series"


def selectors(tree: promql.Expr) -> list[promql.VectorSelector]:
    """Every place where the expression reads series."""
    return [node for node in _nodes(tree) if isinstance(node, promql.VectorSelector)]


def _nodes(tree: promql.Expr) -> list[promql.Expr]:
    nodes: list[promql.Expr] = []
    promql.walk(tree, nodes.append)  # `append` gives None, which goes on
    return nodes


def _series_of(name: str | None, contract: Contract) -> tuple[str, Mapping[str, Any]] | None:
    series = contract["series"]
    if name is not None and name in series:
        return (name, series[name]) if series[name]["type"] != "histogram" else None  # it has parts only
    for suffix in HISTOGRAM_SUFFIXES:
        family = (name or "").removesuffix(suffix)
        if family != name and series.get(family, {}).get("type") == "histogram":
            return family, series[family]
    return None


def _labels(name: str | None, contract: Contract) -> list[str]:
    found = _series_of(name, contract)
    return [*found[1]["labels"], *contract["optional_labels"]] if found else []


def _wrong_selector(selector: promql.VectorSelector, contract: Contract) -> Iterator[str]:
    found = _series_of(selector.name, contract)
    if found is None:
        yield f"no series {selector.name} in the metrics contract"
        return
    for matcher in selector.matchers.matchers:
        if matcher.name not in {*_labels(selector.name, contract), *OF_THE_SCRAPE}:
            yield f"{selector.name} has no label {matcher.name}"
        listed = allowed_values(contract, found[0], matcher.name)
        for value in _values(matcher) if listed is not None else ():
            if value not in (listed or ()):
                yield f"{selector.name}: {matcher.name} is never {value!r}"


def _values(matcher: promql.Matcher) -> list[str]:
    """The values that a matcher names; none for a pattern."""
    if matcher.op in (promql.MatchOp.Equal, promql.MatchOp.NotEqual):
        return [matcher.value] if matcher.value else []
    return matcher.value.split("|") if LITERALS.fullmatch(matcher.value) else []


def _grouped_by(nodes: list[promql.Expr]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, promql.AggregateExpr) and node.modifier is not None:
            yield from node.modifier.labels
        if isinstance(node, promql.BinaryExpr) and node.modifier is not None:
            yield from node.modifier.matching.labels if node.modifier.matching is not None else ()
            yield from node.modifier.group_labels or ()


def _boards(root: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted((root / DASHBOARDS).glob("*.json")):
        yield path.relative_to(root), json.loads(path.read_text(encoding="utf-8"))


def _shapes(root: Path) -> Iterator[str]:
    """Panels with an id of their own, a query, and a place of their own."""
    for path, board in _boards(root):
        ids = [panel["id"] for panel in board["panels"]]
        if len(set(ids)) < len(ids):
            yield f"{path}: two panels share an id"
        for panel in board["panels"]:
            place = panel["gridPos"]
            if not panel.get("targets") or place["x"] + place["w"] > GRID_COLUMNS:
                yield f"{path}: {panel['title']}: no query, or wider than the grid"
        for one, other in combinations(board["panels"], 2):
            if _overlap(one["gridPos"], other["gridPos"]):
                yield f"{path}: {one['title']} lies over {other['title']}"


def _overlap(a: Mapping[str, int], b: Mapping[str, int]) -> bool:
    is_beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
    return not is_beside and not (a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"])

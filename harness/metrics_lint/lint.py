"""All rules over one scrape, or over two of the same server.

Source: OC-METRICS-7120, OC-TEST-7048.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from harness.checks import metrics
from harness.checks.metrics import Finding, Scrape
from harness.metrics_lint.source import Text
from harness.registry.evidence import Evidence, conclude

READABLE, NEVER_FALL = "readable", "counters-never-fall"

PROVES = {
    READABLE: "OC-METRICS-7108",
    "declared-with-their-types": "OC-METRICS-7101",
    "labelled-as-agreed": "OC-METRICS-7101",
    "valued-as-listed": "OC-METRICS-7101",
    "in-their-units": "OC-METRICS-7107",
    "within-budgets": "OC-METRICS-7102",
    "keyed-by-nobody": "OC-METRICS-7103",
    "each-once": "OC-METRICS-7108",
    "cumulative": "OC-METRICS-7108",
    "named-by-convention": "OC-METRICS-7106",
    "nothing-beside-them": "OC-METRICS-7105",
    NEVER_FALL: "OC-CORE-1041",
}
"""The requirement that each rule holds a scrape to."""


@dataclass(frozen=True, slots=True)
class Result:
    """One finding of one rule.

    Attributes:
        rule: its name, with dashes.
        is_error: it breaks a MUST; otherwise a SHOULD.
        source: where it was read.
    """

    rule: str
    is_error: bool
    source: str
    finding: Finding


def rules() -> dict[str, str]:
    """Every rule by name, and what it asks for."""
    named = (*metrics.CHECKS, *metrics.RECOMMENDED)
    return {
        READABLE: "The text is one that Prometheus can read.",
        **{_name(rule): (rule.__doc__ or "").partition("\n")[0] for rule in named},
        NEVER_FALL: "A counter, and what a histogram counts, only rises while its server runs.",
    }


def lint(texts: Iterable[Text], *, allow: Iterable[str] = ()) -> list[Result]:
    """What is wrong with a scrape, or with the later of two and what became of the counters.

    Args:
        texts: of one server, in their order.
        allow: further prefixes of series that may stand beside the contract's.
    """
    contract = metrics.series_contract()
    contract = {**contract, "foreign_prefixes": [*contract["foreign_prefixes"], *allow]}
    results: list[Result] = []
    before: Scrape | None = None
    for text in texts:
        try:
            scrape = read(text)
        except metrics.ExpositionError as error:
            broken = Finding("OC-METRICS-7108", "text that Prometheus can read", error.why, line=error.line)
            return [Result(READABLE, True, text.name, broken)]  # noqa: FBT003 - a dataclass' field
        results = [*_of(scrape, contract, text.name)]
        if before is not None:
            fallen = metrics.counters_never_fall(before, scrape)
            results += [Result(NEVER_FALL, True, text.name, f) for f in fallen]  # noqa: FBT003
        before = scrape
    return sorted(results, key=lambda r: (not r.is_error, r.finding.line, r.rule, r.finding.series))


def evidence(texts: Sequence[Text], results: Iterable[Result], *, repeat: str) -> Iterator[Evidence]:
    """What each rule has shown: nothing where the text cannot be read or has no series.

    Args:
        results: of `lint` on these texts.
        repeat: the command that does it again.
    """
    found = list(results)
    is_readable = all(result.rule != READABLE for result in found)
    looked_at = sum(len(read(text).samples) for text in texts) if is_readable else 0
    for rule, requirement in PROVES.items():
        if rule == NEVER_FALL and len(texts) < 2:
            continue
        wrong = [result.finding for result in found if result.rule == rule]
        yield from conclude(
            f"metrics-lint/{rule}",
            [requirement],
            [replace(finding, at=f"repeat: {repeat}") for finding in wrong],
            sent=len(texts),
            asserted=looked_at,
            evidence=f"{texts[-1].name}: {looked_at} samples",
        )


def read(text: Text) -> Scrape:
    """The scrape in a text.

    Raises:
        ExpositionError: there is none.
    """
    try:
        decoded = text.content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = text.content.count(b"\n", 0, error.start) + 1
        raise metrics.ExpositionError(line, f"not UTF-8: {error.reason}") from None
    return metrics.parse_openmetrics(decoded) if text.is_openmetrics else metrics.parse(decoded)


def _of(scrape: Scrape, contract: dict[str, object], source: str) -> Iterator[Result]:
    for is_error, named in ((True, metrics.CHECKS), (False, metrics.RECOMMENDED)):
        for rule in named:
            yield from (Result(_name(rule), is_error, source, finding) for finding in rule(scrape, contract))


def _name(rule: metrics.Rule) -> str:
    return rule.__name__.replace("_", "-")

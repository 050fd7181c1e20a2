"""The rules that hold for every answer and every stream, as the features hold them, on everything a run has recorded.

Left out is what a fault of the run explains: connections without an answer, streams that were broken off (which have a
rule of their own, `cuts_have_a_cause`), and the 500 of a server that cannot write its journal.
"""

from collections.abc import Iterator
from dataclasses import replace

from chaos.checks.bounds import scrapes
from chaos.checks.finding import Finding
from chaos.facts import Facts
from harness.checks.judge import judge
from harness.checks.metrics import Scrape, counters_never_fall, parse
from harness.history import History
from harness.schema import contract


def wire_rules(facts: Facts) -> Iterator[Finding]:
    """Envelopes, headers, schemas, the order of frames, indices without gaps, no token after a cancel."""
    for exchange in facts.exchanges:
        if exchange.status and not (exchange.status == 500 and "full-disk" in facts.faults):
            yield from _found(History(exchanges=[exchange]), exchange.path, exchange.answered_ms)
    for task in facts.tasks.values():
        for reading in task.readings:
            stream = reading.stream
            if stream.opening is None or (stream.opening.status == 500 and "full-disk" in facts.faults):
                stream = replace(stream, opening=None)
            if stream.end == "cut":
                stream = replace(stream, end="left")
            yield from _found(History(streams=[stream]), task.id, reading.closed_ms)


def counters_only_rise(facts: Facts) -> Iterator[Finding]:
    """In one life of the server a counter never falls."""
    before: tuple[int, Scrape] | None = None
    for exchange in scrapes(facts):
        now = (facts.life_at(exchange.sent_ms), parse(exchange.body.decode()))
        is_same_life = before is not None and before[0] == now[0] == facts.life_at(exchange.answered_ms)
        if before is not None and is_same_life:
            for violation in counters_never_fall(before[1], now[1]):
                yield Finding("counters_only_rise", "run", violation, exchange.answered_ms)
        before = now


def _found(history: History, subject: str, at_ms: float) -> Iterator[Finding]:
    for violation in judge(history, contract()):
        yield Finding("wire_rules", f"{subject} {violation.req}", violation, at_ms)

"""Rules of the end of a run: everything is as it was before. The leak oracle, from outside."""

from collections.abc import Iterator

from chaos.checks.bounds import scrapes
from chaos.checks.finding import Finding
from chaos.facts import Facts
from harness.checks.metrics import parse
from harness.checks.violation import Violation


def same_capacity(facts: Facts) -> Iterator[Finding]:
    """After all faults as many tasks are let in at a time as before, and as many as the settings say.

    Out of VRAM is the one fault after which a server may declare fewer slots (ORCH-3039); those it has to let in.
    """
    for record in facts.of("capacity"):
        slots = record["slots"] if "vram-oom" in facts.faults else facts.run["slots"]
        expected = slots + facts.run["capacity"]
        if record["count"] != expected:
            text = f"{expected} tasks admitted at a time: {slots} slots and {facts.run['capacity']} that wait"
            actual = f"{record['count']} {record['when']} the faults"
            yield Finding("same_capacity", "run", Violation("OC-CORE-1014", text, actual))
            return


def nothing_left_behind(facts: Facts) -> Iterator[Finding]:
    """When all tasks are over nothing waits and no engine connection is open."""
    after = scrapes(facts)[-1:]
    for exchange in after:
        found = parse(exchange.body.decode())
        left = {name: found.total(name) for name in ("queue_depth", "engine_connections_open")}
        if any(left.values()):
            shown = ", ".join(f"{name} {value:.0f}" for name, value in left.items())
            violation = Violation("OC-CORE-1017", "0 tasks waiting and 0 engine connections", shown)
            yield Finding("nothing_left_behind", "run", violation, exchange.answered_ms)


def no_orphan_engines(facts: Facts) -> Iterator[Finding]:
    """A server that has ended has left no engine of its own behind."""
    for record in facts.of("engines"):
        if record["alive"]:
            violation = Violation("OC-POOL-3041", "no engine of a server that has ended", f"{record['alive']} live")
            yield Finding("no_orphan_engines", "run", violation, record["at_ms"])


def deaths_are_told_apart(facts: Facts) -> Iterator[Finding]:
    """What an engine said when it died is what the server's log says that it died of."""
    said = [record["fault"] for record in facts.of("engine") if record["event"] == "dying"]
    logged = [record["fault"] for record in facts.of("loss")]
    for kind in sorted(set(said)):
        if logged.count(kind) < said.count(kind):
            expected = f"{said.count(kind)} losses logged as {kind}"
            violation = Violation("OC-POOL-3015", expected, f"{logged.count(kind)} of {logged}")
            yield Finding("deaths_are_told_apart", kind, violation)

"""From a history to a verdict. Pure: the same file gives the same verdict, today and tomorrow.

pass      every fault hit, and nothing broke a rule
fail      a rule was broken
unknown   a fault did not hit, nothing was accepted, or the harness itself failed: counts as a failure
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from chaos.checks import afterwards, bounds, budgets, drains, ends, order, runs, wire
from chaos.checks.finding import Finding, Rule
from chaos.facts import Facts
from chaos.record import Record
from harness.registry.check import slug
from harness.registry.evidence import Evidence, conclude

ACCEPTED_MIN = 10  # fewer tasks are no load


@dataclass(frozen=True, slots=True)
class Check:
    """A rule, and what a run in which it holds has shown.

    Attributes:
        proves: requirement ids.
        applies: whether a run of this kind puts the rule to the test.
    """

    rule: Rule
    proves: tuple[str, ...]
    applies: Callable[[Facts], bool] = lambda _: True


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run came to.

    Attributes:
        doubts: why it is unknown, where it is.
    """

    outcome: Literal["pass", "fail", "unknown"]
    findings: tuple[Finding, ...] = ()
    doubts: tuple[str, ...] = ()


def _drops(facts: Facts) -> bool:
    return bool(facts.run["policy"] == "drop-lru")


def _is_single(facts: Facts) -> bool:
    return bool(facts.run["slots"] == 1)


def _has_budget(facts: Facts) -> bool:
    return facts.run["budget_tokens"] is not None


def _kills(facts: Facts) -> bool:
    return bool(facts.faults & ends.KILLS)


def _supervises(facts: Facts) -> bool:
    return bool(facts.of("engines"))


def _has_deaths(facts: Facts) -> bool:
    return any(record["event"] == "dying" for record in facts.of("engine"))


def _drains(facts: Facts) -> bool:
    return bool(facts.of("drain"))


def _has_cancels(facts: Facts) -> bool:
    return any(task.cancels for task in facts.tasks.values())


CHECKS: tuple[Check, ...] = (
    Check(ends.nothing_lost, ("OC-CORE-1050", "OC-CORE-1051"), _kills),
    Check(ends.nothing_lost, ("OC-CORE-1016",)),
    Check(ends.one_end, ("OC-CORE-1016",)),
    Check(ends.one_end, ("OC-CORE-1054",), _kills),
    Check(ends.readers_agree, ("ORCH-2011",)),
    Check(ends.ends_have_a_cause, ("ORCH-2006",)),
    Check(ends.server_errors_have_a_cause, ("ORCH-2006",)),
    Check(ends.cuts_have_a_cause, ("OC-CTRL-2022",)),
    Check(ends.nothing_hangs, ("ORCH-2006",)),
    Check(ends.comes_back, ("OC-CORE-1051",), _kills),
    Check(runs.runs_once, ("OC-CORE-1052",)),
    Check(runs.refused_never_runs, ("ORCH-2013",)),
    Check(runs.canceled_stays_canceled, ("OC-CORE-1005",), _has_cancels),
    Check(runs.dropped_never_runs, ("OC-CORE-1006",), _drops),
    Check(runs.ends_were_earned, ("ORCH-3054",)),
    Check(runs.slots_kept, ("OC-CORE-1014",)),
    Check(order.first_come_first_served, ("OC-CORE-1003",)),
    Check(order.urgent_first, ("OC-CORE-1004",), _is_single),
    Check(bounds.bounds_held, ("OC-CORE-1001",)),
    Check(bounds.places_are_within_bounds, ("OC-CORE-1001",)),
    Check(bounds.victims_waited_longest, ("OC-CORE-1002",), _drops),
    Check(bounds.victims_are_told, ("OC-CORE-1006",), _drops),
    Check(bounds.overflow_drops, ("OC-CORE-1002",), _drops),
    Check(budgets.budgets_add_up, ("OC-CORE-1034",), _has_budget),
    Check(budgets.nothing_overdrawn, ("OC-CORE-1023",), _has_budget),
    Check(drains.drains_meet_their_deadline, ("OC-CTRL-2002",), _drains),
    Check(afterwards.same_capacity, ("OC-CORE-1014",)),
    Check(afterwards.nothing_left_behind, ("OC-CORE-1017",)),
    Check(afterwards.no_orphan_engines, ("OC-POOL-3041",), _supervises),
    Check(afterwards.deaths_are_told_apart, ("OC-POOL-3015",), _has_deaths),
    Check(wire.wire_rules, ("OC-CTRL-2021", "OC-CTRL-2022", "ORCH-3026", "ORCH-3044")),
    Check(wire.counters_only_rise, ("OC-CORE-1041",)),
)

RULES: tuple[Rule, ...] = tuple(dict.fromkeys(check.rule for check in CHECKS))


def judge(records: Sequence[Record], rules: Sequence[Rule] = RULES) -> Verdict:
    """Judge a history."""
    facts = Facts(records)
    findings = tuple(finding for rule in rules for finding in rule(facts))
    doubts = tuple(doubts_of(facts))
    if findings:
        return Verdict("fail", findings, doubts)
    return Verdict("unknown", (), doubts) if doubts else Verdict("pass")


def doubts_of(facts: Facts) -> list[str]:
    """Why the run would prove nothing, even if no rule was broken."""
    doubts = [f"the harness failed: {record['what']}" for record in facts.of("defect")]
    hits: dict[str, int] = dict.fromkeys(facts.run["faults"], 0)
    for record in facts.of("fault"):
        hits[record["name"]] = hits.get(record["name"], 0) + record["hits"]
    doubts += [f"the fault {name} did not hit" for name, count in hits.items() if not count]
    if len(facts.accepted) < ACCEPTED_MIN:
        doubts.append(f"only {len(facts.accepted)} tasks were accepted: that is no load")
    if "judge" not in {record["name"] for record in facts.of("phase")}:
        doubts.append("the run did not come to its end")
    return doubts


def evidence(facts: Facts, verdict: Verdict) -> Iterator[Evidence]:
    """What the run reports into the one registry of checks."""
    told = f"workload {facts.run['workload']}, seed {facts.run['seed']}, {len(facts.accepted)} tasks accepted"
    for check in CHECKS:
        if not check.applies(facts):
            continue
        yield from conclude(
            f"chaos/{slug(check.rule.__name__)}",
            check.proves,
            [finding.violation for finding in verdict.findings if finding.rule == check.rule.__name__],
            sent=len(facts.exchanges),
            asserted=len(facts.accepted),
            fired=None if not facts.run["faults"] and not verdict.doubts else not verdict.doubts,
            evidence=told,
        )

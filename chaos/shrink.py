"""A violation in a history of thousands of records, shrunk to the few that show it.

Delta debugging (Zeller and Hildebrandt, 2002) on the recorded history, not by running again: first whole tasks go, then
single records, as long as the same rule is broken on the same subject. What is left is a part of what happened.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from chaos.checks.finding import Finding, Rule
from chaos.facts import Facts
from chaos.record import Record

T = TypeVar("T")

TRIES_MAX = 2_000  # judgements of one shrinking; each takes milliseconds, and less with every success


def shrink(records: Sequence[Record], finding: Finding, rule: Rule) -> list[Record]:
    """The shortest part found that still shows `finding`."""
    tries = 0

    def shows(part: Sequence[Record]) -> bool:
        nonlocal tries
        tries += 1
        if tries > TRIES_MAX:
            return False
        return any((f.rule, f.subject) == (finding.rule, finding.subject) for f in rule(Facts(part)))

    groups = _minimal(_by_task(records[1:]), lambda part: shows(_joined(records, part)))
    kept = _joined(records, groups)
    singles = _minimal([[record] for record in kept[1:]], lambda part: shows(_joined(kept, part)))
    return _joined(kept, singles)


def task_of(record: Record) -> str | None:
    """The task that a record is about; None when it is about none."""
    match record["kind"]:
        case "stream" | "engine":
            return record.get("task")
        case "exchange" if record["path"] == "/v1/tasks":
            return str(record["request_body"]).partition('"task_id":')[2].strip(' "')[:36] or None
        case "exchange" if record["path"].startswith("/v1/tasks/"):
            return str(record["path"].split("/")[3])
        case _:
            return None


def _by_task(records: Sequence[Record]) -> list[list[Record]]:
    """Records of one task together; every other record alone."""
    groups: dict[object, list[Record]] = {}
    for number, record in enumerate(records):
        groups.setdefault(task_of(record) or number, []).append(record)
    return list(groups.values())


def _joined(records: Sequence[Record], groups: Sequence[Sequence[Record]]) -> list[Record]:
    """The run and the records of these groups, in their old order."""
    wanted = {id(record) for group in groups for record in group}
    return [records[0], *(record for record in records[1:] if id(record) in wanted)]


def _minimal(items: Sequence[T], shows: Callable[[Sequence[T]], bool]) -> list[T]:
    """ddmin: a part of which no chunk can be left out."""
    kept, parts = list(items), 2
    while len(kept) >= 1:
        size = max(1, len(kept) // parts)
        for start in range(0, len(kept), size):
            rest = [*kept[:start], *kept[start + size :]]
            if shows(rest):
                kept, parts = rest, max(2, parts - 1)
                break
        else:
            if size == 1:
                break
            parts = min(len(kept), parts * 2)
    return kept

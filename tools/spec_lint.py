"""Holds the specs to their grammar: one id, one level, one normative verb, one sentence.

Source: OC-TEST-7004.
"""

import re
from collections import Counter
from pathlib import Path

from harness.requirements import Requirement, parse

VERB = re.compile(r"\b(MUST NOT|SHOULD NOT|MUST|SHOULD|MAY)\b")
LOOSE = re.compile(r"^\s*[-*].*\b(?:ORCH|OC-[A-Z]+|HME)-\d+")


def lint(root: Path) -> list[str]:
    """One line for each violation in `contracts/specs`."""
    problems: list[str] = []
    requirements: list[Requirement] = []
    for path in sorted((root / "contracts" / "specs").glob("*.md")):
        text = path.read_text(encoding="utf-8")
        found = parse(text, f"contracts/specs/{path.name}")
        requirements += found
        items = sum(1 for line in text.splitlines() if LOOSE.match(line))
        if items != len(found):
            problems.append(f"contracts/specs/{path.name}: {items} items name an id, {len(found)} have the grammar")
    problems += [problem for requirement in requirements for problem in problems_of(requirement)]
    counts = Counter(requirement.id for requirement in requirements)
    problems += [f"{id_}: stated {count} times" for id_, count in counts.items() if count > 1]
    return problems


def problems_of(requirement: Requirement) -> list[str]:
    """What is wrong with one sentence."""
    where = f"{requirement.place}: {requirement.id}"
    verbs = [verb.split()[0] for verb in VERB.findall(requirement.sentence)]
    problems = []
    if len(verbs) != 1:
        problems.append(f"{where}: {len(verbs)} normative verbs, expected one")
    elif verbs[0] != requirement.level:
        problems.append(f"{where}: level {requirement.level}, but the sentence says {verbs[0]}")
    if not requirement.sentence.endswith("."):
        problems.append(f"{where}: the sentence does not end with a full stop")
    return problems

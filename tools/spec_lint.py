"""Holds the specifications to their grammar (`contracts/specs/README.md`): one id, one level, one verb, one sentence.

A rule over one sentence is a function from a `Requirement` to what is wrong with it; `RULES` lists them all.

Source: OC-TEST-7004.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from harness.requirements import ID, Requirement, parse, unknown

VERB = re.compile(r"\b(MUST|SHOULD|MAY)\b")
SYNONYM = re.compile(r"\b(SHALL|REQUIRED|RECOMMENDED|OPTIONAL|CAN|WILL)\b")
SMALL = re.compile(r"\b(must|shall|should|may)\b")
CODE = re.compile(r"`[^`]*`")
INNER_END = re.compile(r"[.!?]\s+[A-Z]")
LOOSE_ITEM = re.compile(rf"^\s*(?:[-*+]|\d+\.|#+)\s.*\b(?:{ID.pattern}|(?:ORCH|OC|HME)-[A-Z0-9-]*\d)")

Rule = Callable[[Requirement], Iterator[str]]


def one_verb(requirement: Requirement) -> Iterator[str]:
    """Exactly one normative verb."""
    verbs = VERB.findall(_prose(requirement))
    if len(verbs) != 1:
        yield f"has {len(verbs)} normative verbs, expected one"


def verb_is_level(requirement: Requirement) -> Iterator[str]:
    """The verb says what the level says."""
    verbs = set(VERB.findall(_prose(requirement)))
    if verbs and verbs != {requirement.level}:
        yield f"is {requirement.level}, but says {' and '.join(sorted(verbs))}"


def one_sentence(requirement: Requirement) -> Iterator[str]:
    """One sentence, from its capital letter to its full stop."""
    text = _prose(requirement)
    if not requirement.sentence.endswith("."):
        yield "does not end with a full stop"
    if INNER_END.search(text):
        yield "is more than one sentence"
    if text[0].islower():
        yield "does not begin with a capital letter"


def plain_words(requirement: Requirement) -> Iterator[str]:
    """No second scale of obligation beside MUST, SHOULD and MAY."""
    text = _prose(requirement)
    for word in [*SYNONYM.findall(text), *SMALL.findall(text)]:
        yield f"says `{word}`, which reads as a level of its own"


RULES: Sequence[Rule] = (one_verb, verb_is_level, one_sentence, plain_words)


def lint(root: Path) -> list[str]:
    """One line for each violation in `contracts/specs`, and one when there is nothing to lint."""
    texts = {
        f"specs/{path.name}": path.read_text(encoding="utf-8")
        for path in sorted((root / "contracts" / "specs").glob("*.md"))
    }
    return problems(texts)


def problems(texts: Mapping[str, str]) -> list[str]:
    """What is wrong with these specifications, by file and line.

    Args:
        texts: by file, such as `specs/core.md`.
    """
    requirements = [requirement for file, text in texts.items() for requirement in parse(text, file)]
    if not requirements:
        return ["contracts/specs: no requirement found"]
    return [
        *(f"contracts/{place}: {what}" for file, text in texts.items() for place, what in _malformed(file, text)),
        *(
            f"contracts/{requirement.place}: {requirement.id} {what}"
            for requirement in requirements
            for rule in RULES
            for what in rule(requirement)
        ),
        *(f"contracts/{place}: {what}" for place, what in _across(requirements)),
    ]


def _malformed(file: str, text: str) -> Iterator[tuple[str, str]]:
    """Items and headings that name an id but are no requirement: a misspelt one would silently be prose."""
    found = {requirement.line for requirement in parse(text, file)}
    for number, line in enumerate(text.splitlines(), 1):
        if number not in found and LOOSE_ITEM.match(line):
            yield f"{file}:{number}", "names an id, but is not `- **ID** (LEVEL) sentence`"


def _across(requirements: Iterable[Requirement]) -> Iterator[tuple[str, str]]:
    first: dict[str, Requirement] = {}
    for requirement in requirements:
        known = first.setdefault(requirement.id, requirement)
        if known is not requirement:
            yield requirement.place, f"{requirement.id} is stated already at {known.place}"
    for requirement in requirements:
        for missing in unknown(ID.findall(requirement.sentence), first):
            yield requirement.place, f"{requirement.id} mentions {missing}, which no specification states"


def _prose(requirement: Requirement) -> str:
    """The sentence with its code spans blanked: `MUST` in code is no verb."""
    return CODE.sub("``", requirement.sentence)

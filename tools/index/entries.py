"""Joins the sentences with what names them, and says what is wrong with the result.

Source: OC-TEST-7004, OC-TEST-7090.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from harness.requirements import Requirement, index, parse
from tools.index import mentions
from tools.index.mentions import Mention

OUTPUT = Path("contracts/requirements.json")
EXCLUSIONS = Path("contracts/exclusions.yaml")
SOURCES: Mapping[str, Callable[[Path], Iterable[Mention]]] = {
    "contracts": mentions.in_contracts,
    "scenarios": mentions.in_features,
    "tests": mentions.in_tests,
    "code": mentions.in_code,
}
CHECKS = ("scenarios", "tests")


@dataclass(frozen=True, slots=True)
class Entry:
    """One requirement with its chain.

    Attributes:
        named: the mentions of it, by kind: contracts, scenarios, tests, code.
        excluded: why nothing here can check it; None where something can.
        gap: why nothing checks it yet; None where something does.
    """

    requirement: Requirement
    named: Mapping[str, Sequence[Mention]] = field(default_factory=dict)
    excluded: str | None = None
    gap: str | None = None

    @property
    def checks(self) -> list[Mention]:
        """What is executable of it."""
        return [mention for kind in CHECKS for mention in self.named.get(kind, ())]


@dataclass(frozen=True, slots=True)
class Index:
    """Every stated requirement, and the mentions of ids that are not stated.

    Attributes:
        elsewhere: checks that this repository's own run leaves out, by the beginning of their place, with the reason.
    """

    entries: Mapping[str, Entry]
    strays: Sequence[Mention]
    unknown_exclusions: Sequence[str] = ()
    elsewhere: Mapping[str, str] = field(default_factory=dict)


def read(root: Path) -> Index:
    """The index of the tree at `root`."""
    folder = root / "contracts" / "specs"
    texts = {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.md"))}
    stated = index(r for name, text in texts.items() for r in parse(text, f"specs/{name}"))
    named: dict[str, dict[str, set[Mention]]] = defaultdict(lambda: defaultdict(set))
    for kind, find in SOURCES.items():
        for mention in find(root):
            named[mention.id][kind].add(mention)
    reasons = _exclusions(root)
    entries = {
        identifier: Entry(
            requirement,
            {kind: sorted(found) for kind, found in named[identifier].items()},
            excluded=reasons["excluded"].get(identifier),
            gap=reasons["gaps"].get(identifier),
        )
        for identifier, requirement in stated.items()
    }
    # code is held to the stated ids by `tools.references`; what a range of ids there spans may have holes
    strays = [
        m for i, kinds in named.items() if i not in stated for k in kinds if k != "code" for m in sorted(kinds[k])
    ]
    listed = [identifier for part in ("excluded", "gaps") for identifier in reasons[part]]
    return Index(entries, strays, [one for one in listed if one not in stated], reasons["elsewhere"])


def generate(root: Path) -> dict[Path, str]:
    """The text of `contracts/requirements.json`, and the exclusions without the gaps that have a check now."""
    entries = read(root).entries
    texts = {OUTPUT: json.dumps([_json(entry) for entry in entries.values()], indent=1, ensure_ascii=False) + "\n"}
    if (root / EXCLUSIONS).exists():
        closed = {identifier for identifier, entry in entries.items() if entry.gap is not None and entry.checks}
        texts[EXCLUSIONS] = without(closed, (root / EXCLUSIONS).read_text(encoding="utf-8"))
    return texts


def without(closed: Iterable[str], text: str) -> str:
    """The exclusions without the lines of these ids."""
    dropped = tuple(f"  {identifier}: " for identifier in closed)
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith(dropped))


def problems(root: Path) -> list[str]:
    """What is wrong with the traceability of the tree at `root`, a line each."""
    return list(judge(read(root)))


def judge(found: Index) -> Iterator[str]:
    """What is wrong with an index: ids without sentence, MUSTs without check, and reasons that no longer hold."""
    for mention in found.strays:
        yield f"{mention.place}: {mention.id} is stated by no specification"
    for identifier in found.unknown_exclusions:
        yield f"{EXCLUSIONS}: {identifier} is stated by no specification"
    places = {mention.place for entry in found.entries.values() for mention in entry.checks}
    for prefix in found.elsewhere:
        if not any(place.startswith(prefix) for place in places):
            yield f"{EXCLUSIONS}: no check begins with {prefix}"
    for entry in found.entries.values():
        where = f"contracts/{entry.requirement.place}: {entry.requirement.id}"
        yield from (f"{where} {what}" for what in _faults(entry))


def _faults(entry: Entry) -> Iterator[str]:
    if entry.excluded is not None and entry.gap is not None:
        yield f"is both excluded and a gap in {EXCLUSIONS}: choose one"
    reason = entry.excluded or entry.gap
    if entry.checks and reason is not None:
        found = entry.checks[0].place
        yield f"has a check now ({found}): take it out of {EXCLUSIONS}; `python -m tools gen` does that for a gap"
    if not entry.checks and reason is None and entry.requirement.level == "MUST":
        yield "is a MUST without an executable check: no scenario is tagged and no test marked with it"


def _exclusions(root: Path) -> dict[str, dict[str, str]]:
    path = root / EXCLUSIONS
    document = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
    return {part: dict((document or {}).get(part) or {}) for part in ("excluded", "gaps", "elsewhere")}


def _json(entry: Entry) -> dict[str, Any]:
    requirement = entry.requirement
    whole: dict[str, Any] = {
        "id": requirement.id,
        "level": requirement.level,
        "sentence": requirement.sentence,
        "spec": f"contracts/{requirement.file}",
        **{kind: sorted({mention.place for mention in entry.named.get(kind, ())}) for kind in SOURCES},
    }
    reasons = {
        "excluded": entry.excluded,
        "gap": None if entry.checks else entry.gap,
    }  # a closed gap goes in the same run
    return whole | {name: reason for name, reason in reasons.items() if reason is not None}

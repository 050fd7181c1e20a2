"""The defects as a whole: what they break, and what nothing breaks."""

from collections.abc import Iterable

import pytest

from harness import requirements, trace
from harness.saboteur import off_wire
from harness.saboteur.defect import Defect, Wire, answers
from harness.saboteur.defects import DEFECTS
from harness.saboteur.message import Request
from harness.trace import Entry

WANTED = 60


@pytest.mark.req("OC-TEST-7093")
def test_every_must_is_broken_by_a_defect_or_stands_off_the_wire_with_its_reason() -> None:
    known = requirements.load()
    broken = {identifier for defect in DEFECTS.values() for identifier in defect.breaks}
    musts = {identifier for identifier, found in known.items() if found.level == "MUST"}

    assert set() == broken - set(known)
    assert [] == sorted(i for i in musts - broken if off_wire.load().why(i) is None)


@pytest.mark.req("OC-TEST-7093")
def test_nothing_stands_off_the_wire_that_is_broken_or_unknown() -> None:
    broken = {identifier for defect in DEFECTS.values() for identifier in defect.breaks}
    named = [identifier for identifier in off_wire.load().requirements if not identifier.endswith("*")]

    assert [] == [identifier for identifier in named if identifier in broken]
    assert [] == [identifier for identifier in named if identifier not in requirements.load()]


def test_there_are_enough_and_each_says_what_is_wrong() -> None:
    assert len(DEFECTS) >= WANTED
    assert [] == [d.id for d in DEFECTS.values() if not d.breaks or not d.says.endswith(".") or not d.at]


def test_two_defects_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="no-terminal-frame"):

        @answers("OC-CTRL-2022")
        def no_terminal_frame(*_: object) -> None:
            """Another one."""


@pytest.mark.parametrize(
    ("at", "line", "applies"),
    [
        ("POST /v1/tasks", "POST /v1/tasks", True),
        ("POST /v1/tasks", "POST /v1/tasks/a/cancel", False),
        ("GET /v1/tasks/*", "GET /v1/tasks/a", True),
        ("GET /v1/tasks/*", "GET /v1/tasks/a/stream", False),
        ("**", "\x01 ?", True),
        ("** /v1/replicasets", "DELETE /v1/replicasets", True),
    ],
)
def test_a_defect_concerns_what_it_names(at: str, line: str, applies: bool) -> None:
    method, _, path = line.partition(" ")
    defect = Defect("d", ("ORCH-2001",), "Wrong.", at, "answers", lambda *_: None)

    assert applies == defect.applies(Request(method=method, path=path))


def test_a_defect_that_raises_is_remembered_and_changes_nothing() -> None:
    wire = Wire(DEFECTS["no-terminal-frame"])

    assert wire.guarded(lambda: wire.memory["nothing"]) is None
    assert "KeyError" in wire.broken


def without_scenario(entries: Iterable[Entry]) -> list[str]:
    """The MUST sentences that show on the wire, and that no scenario names."""
    musts = [entry for entry in entries if entry["level"] == "MUST" and off_wire.load().why(entry["id"]) is None]
    return [entry["id"] for entry in musts if not entry["scenarios"]]


@pytest.mark.req("HME-042")
def test_every_sentence_that_shows_on_the_wire_has_a_scenario() -> None:
    """What a defect can break shows there; all else stands off the wire with its reason."""
    assert [] == without_scenario(trace.load().values())


@pytest.mark.req("HME-042", "OC-TEST-7006")
def test_a_sentence_without_a_scenario_is_found() -> None:
    entries = [{**entry, "scenarios": []} if entry["id"] == "ORCH-3026" else entry for entry in trace.load().values()]

    assert ["ORCH-3026"] == without_scenario(entries)

import re

import pytest

from harness.requirements import ID, DuplicateIdError, Requirement, index, load, parse, unknown

SPEC = """# Core

- **OC-CORE-1001** (MUST) A queue MUST be bounded.
- **OC-CORE-1013** (SHOULD) Placement SHOULD prefer the replica
  that served the session's last turn.

Prose that is no requirement.
  indented prose
"""


def test_an_item_is_read_with_its_place() -> None:
    first, _ = parse(SPEC, "specs/core.md")

    assert Requirement("OC-CORE-1001", "MUST", "A queue MUST be bounded.", "specs/core.md", 3) == first
    assert "specs/core.md:3" == first.place


def test_continuation_lines_belong_to_the_sentence_and_prose_does_not() -> None:
    _, second = parse(SPEC, "specs/core.md")

    assert "Placement SHOULD prefer the replica that served the session's last turn." == second.sentence


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("- **ORCH-301** (MUST) Three digits MUST not parse.", id="three-digits"),
        pytest.param("- **ORCH-30101** (MUST) Five digits MUST not parse.", id="five-digits"),
        pytest.param("- **OC-1001** (MUST) An id MUST have a family.", id="no-family"),
        pytest.param("- ORCH-3010 (MUST) An id MUST be bold.", id="not-bold"),
        pytest.param("- **ORCH-3010** MUST be leveled.", id="no-level"),
        pytest.param("- **ORCH-3010** (SHALL) A level SHALL be known.", id="unknown-level"),
        pytest.param("  - **ORCH-3010** (MUST) An item MUST not be nested.", id="nested"),
        pytest.param("* **ORCH-3010** (MUST) An item MUST begin with a hyphen.", id="asterisk"),
    ],
)
def test_what_is_not_the_grammar_is_no_requirement(line: str) -> None:
    assert [] == parse(line, "specs/x.md")


def test_fenced_examples_are_no_requirements() -> None:
    assert [] == parse(f"```\n{SPEC}```\n", "specs/x.md")


@pytest.mark.parametrize("identifier", ["ORCH-2001", "OC-CTRL-2020", "OC-POLICY-SDK-4101", "HME-001"])
def test_the_id_grammar_takes_every_family(identifier: str) -> None:
    assert ID.fullmatch(identifier)


@pytest.mark.parametrize("identifier", ["orch-2001", "OC-2001", "HME-0001", "ORCH-2001a", "OC-CORE-SDK-X-1001"])
def test_the_id_grammar_refuses(identifier: str) -> None:
    assert ID.fullmatch(identifier) is None


def test_a_duplicate_names_both_places() -> None:
    twice = parse(SPEC, "specs/a.md") + parse(SPEC, "specs/b.md")

    with pytest.raises(
        DuplicateIdError, match=re.escape("OC-CORE-1001 is stated at specs/a.md:3 and again at specs/b.md:3")
    ):
        index(twice)


@pytest.mark.req("OC-TEST-7004")
def test_the_contracts_state_their_requirements() -> None:
    known = load()

    assert "specs/system.md" == known["ORCH-3004"].file
    assert "MAY" == known["ORCH-3092"].level
    assert len(known) > 200


@pytest.mark.req("OC-TEST-7004")
def test_unknown_ids_are_told() -> None:
    known = load()

    assert ["OC-CORE-0001", "ORCH-9999"] == unknown(["ORCH-2001", "ORCH-9999", "OC-CORE-0001"], known)

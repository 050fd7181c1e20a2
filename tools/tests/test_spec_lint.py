"""Every rule of the spec lint, each with a violation that it must catch."""

import pytest

from tools import spec_lint

GOOD = "- **ORCH-3004** (MUST) Each pool MUST hold one queue.\n- **ORCH-3006** (SHOULD) A server SHOULD throttle.\n"


@pytest.mark.req("OC-TEST-7004", "OC-TEST-7006")
@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        pytest.param("- **ORCH-9001** (MUST) A pool holds a queue.", "has 0 normative verbs", id="no-verb"),
        pytest.param("- **ORCH-9001** (MUST) It MUST hold and MUST serve.", "has 2 normative verbs", id="two-verbs"),
        pytest.param("- **ORCH-9001** (MUST) A pool `MUST` hold.", "has 0 normative verbs", id="verb-in-code"),
        pytest.param("- **ORCH-9001** (MUST) It SHOULD hold.", "is MUST, but says SHOULD", id="weaker-than-its-level"),
        pytest.param("- **ORCH-9001** (MAY) It MUST NOT hold.", "is MAY, but says MUST", id="stronger-than-its-level"),
        pytest.param("- **ORCH-9001** (MUST) It MUST hold", "does not end with a full stop", id="no-full-stop"),
        pytest.param(
            "- **ORCH-9001** (MUST) It MUST hold. So it does.", "is more than one sentence", id="two-sentences"
        ),
        pytest.param("- **ORCH-9001** (MUST) it MUST hold.", "does not begin with a capital", id="small-beginning"),
        pytest.param("- **ORCH-9001** (MUST) It MUST hold, and may serve.", "says `may`", id="small-modal-verb"),
        pytest.param("- **ORCH-9001** (MUST) It MUST hold what is REQUIRED.", "says `REQUIRED`", id="synonym"),
        pytest.param("- **ORCH-3004** (MUST) It MUST hold.", "is stated already at specs/a.md:1", id="duplicate-id"),
        pytest.param("- **ORCH-9001** (MUST) It MUST do ORCH-9999.", "mentions ORCH-9999", id="mention-of-nothing"),
        pytest.param("- **ORCH-901** (MUST) It MUST hold.", "names an id, but is not", id="three-digits"),
        pytest.param("- **OC-9001** (MUST) It MUST hold.", "names an id, but is not", id="no-family"),
        pytest.param("- ORCH-9001 (MUST) It MUST hold.", "names an id, but is not", id="not-bold"),
        pytest.param("* **ORCH-9001** (MUST) It MUST hold.", "names an id, but is not", id="other-bullet"),
        pytest.param("- **ORCH-9001** (SHALL) It SHALL hold.", "names an id, but is not", id="unknown-level"),
        pytest.param("### ORCH-9001", "names an id, but is not", id="heading"),
    ],
)
def test_a_planted_violation_is_found_at_its_place(line: str, complaint: str) -> None:
    (problem,) = spec_lint.problems({"specs/a.md": f"{GOOD}\n{line}\n"})

    assert problem.startswith("contracts/specs/a.md:4: ")
    assert complaint in problem


def test_the_good_ones_pass() -> None:
    assert [] == spec_lint.problems({"specs/a.md": GOOD, "specs/README.md": "# How\n\nSee ORCH-3004 for more.\n"})


def test_a_continuation_line_is_linted_as_part_of_its_sentence() -> None:
    (problem,) = spec_lint.problems({"specs/a.md": "- **ORCH-9001** (MUST) It MUST hold\n  and MUST serve.\n"})

    assert "has 2 normative verbs" in problem


def test_an_empty_folder_is_no_pass() -> None:
    assert ["contracts/specs: no requirement found"] == spec_lint.problems({"specs/README.md": "# nothing yet\n"})


def test_a_mention_of_another_file_is_known() -> None:
    other = "- **OC-CORE-1001** (MUST) It MUST do what ORCH-3004 says.\n"

    assert [] == spec_lint.problems({"specs/a.md": GOOD, "specs/b.md": other})

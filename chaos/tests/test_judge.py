"""The verdict: what did not hit proves nothing, and what a run has shown is reported under its requirements."""

import pytest

from chaos.facts import Facts
from chaos.judge import evidence, judge
from chaos.tests.story import Story
from harness.outcome import Outcome


def outcomes(story: Story) -> dict[str, Outcome]:
    """Of the checks of two requirements."""
    facts = Facts(story.records)
    return {f"{e.check} {e.requirement}": e.verdict for e in evidence(facts, judge(story.records))}


@pytest.mark.req("OC-TEST-7050", "OC-TEST-7020")
@pytest.mark.parametrize(
    ("hits", "outcome"),
    [
        pytest.param([], "unknown", id="never"),
        pytest.param([0], "unknown", id="missed"),
        pytest.param([0, 2], "pass", id="hit"),
    ],
)
def test_a_run_whose_fault_did_not_hit_is_unknown(hits: list[int], outcome: str) -> None:
    story = Story.of(faults=["cut"]).over()
    for count in hits:
        story.add("fault", name="cut", at_ms=1.0, until_ms=2.0, hits=count, told="")

    verdict = judge(story.records)

    assert outcome == verdict.outcome
    assert ("the fault cut did not hit" in verdict.doubts) == (outcome == "unknown")


@pytest.mark.req("OC-TEST-7050")
def test_a_run_that_did_not_come_to_its_end_is_unknown() -> None:
    story = Story.of().over()
    del story.records[-1]

    assert "unknown" == judge(story.records).outcome


@pytest.mark.req("OC-TEST-7050")
def test_a_run_without_load_is_unknown() -> None:
    story = Story.of()
    story.served(1, 0)
    story.add("phase", name="judge", at_ms=20.0)

    assert "unknown" == judge(story.records).outcome


@pytest.mark.req("OC-TEST-7050")
def test_a_run_whose_clients_failed_is_unknown() -> None:
    story = Story.of().over()
    story.add("defect", what="client-1: KeyError")

    assert "unknown" == judge(story.records).outcome


@pytest.mark.req("OC-TEST-7020")
def test_a_good_run_reports_what_it_has_shown_and_nothing_else() -> None:
    told = outcomes(Story.of().over())

    assert Outcome.PASS == told["chaos/runs-once OC-CORE-1052"]
    assert not [line for line in told if line.startswith("chaos/budgets-add-up")]


@pytest.mark.req("OC-TEST-7020")
def test_a_broken_rule_is_reported_under_its_requirement() -> None:
    story = Story.of().over()
    story.decoded(50, 12_000)

    assert Outcome.FAIL == outcomes(story)["chaos/runs-once OC-CORE-1052"]


@pytest.mark.req("OC-TEST-7020", "OC-TEST-7050")
def test_a_run_whose_fault_did_not_hit_reports_unknown() -> None:
    assert {Outcome.UNKNOWN} == set(outcomes(Story.of(faults=["cut"]).over()).values())

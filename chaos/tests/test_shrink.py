"""A violation among many records is shrunk to those that show it, and repeats from its file."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaos import record
from chaos.checks import order, runs
from chaos.facts import Facts
from chaos.shrink import shrink
from chaos.tests.story import Story, name


def long_story(twice: int) -> Story:
    """Sixty good tasks, of which one is decoded twice."""
    story = Story.of()
    for number in range(60):
        story.served(number, 20 * number)
        story.scrape(20 * number + 15, "")
    story.decoded(twice, 5_000)
    return story


@pytest.mark.req("OC-TEST-7052")
@settings(max_examples=10, deadline=None)
@given(twice=st.integers(0, 59))
def test_a_task_that_ran_twice_is_shrunk_to_three_records(twice: int) -> None:
    records = long_story(twice).records
    (finding,) = runs.runs_once(Facts(records))

    short = shrink(records, finding, runs.runs_once)

    assert ["run", "exchange", "engine", "engine"] == [r["kind"] for r in short]
    assert {name(twice)} == {r["task"] for r in short if r["kind"] == "engine"}


@pytest.mark.req("OC-TEST-7052")
def test_two_tasks_in_the_wrong_order_are_both_kept() -> None:
    story = long_story(3)
    story.submit(70, 2_000)
    story.submit(71, 2_010)
    story.decoded(71, 2_020)
    story.decoded(70, 2_030)
    (finding,) = order.first_come_first_served(Facts(story.records))

    short = shrink(story.records, finding, order.first_come_first_served)

    assert ["run", "exchange", "exchange", "engine", "engine"] == [r["kind"] for r in short]


@pytest.mark.req("OC-TEST-7052")
def test_a_short_history_repeats_from_its_file(tmp_path: Path) -> None:
    records = long_story(7).records
    (finding,) = runs.runs_once(Facts(records))
    path = tmp_path / "short.jsonl"

    record.write(path, shrink(records, finding, runs.runs_once))

    assert [finding.subject] == [f.subject for f in runs.runs_once(Facts(record.read(path)))]


@pytest.mark.req("OC-TEST-7052")
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("{", id="not-json"),
        pytest.param("[]\n", id="not-objects"),
        pytest.param('{"kind": 7}\n', id="no-kind"),
        pytest.param('{"kind": "fault"}\n', id="no-run"),
        pytest.param('{"kind": "run", "format": 99}\n', id="another-format"),
        pytest.param("[" * 100_000, id="deep"),
    ],
)
def test_a_file_that_is_no_history_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text(text)

    with pytest.raises(record.UnreadableError):
        record.read(path)

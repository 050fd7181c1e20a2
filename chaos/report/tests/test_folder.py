"""What a failing run leaves: a short history of each broken rule, which breaks the rule again."""

import json
from pathlib import Path

import pytest

from chaos import record
from chaos.judge import judge
from chaos.report.folder import SHRUNK_MAX, write_report
from chaos.tests.story import Story


def broken(*, ways: int) -> Story:
    """A run in which so many rules are broken, each on more than one task."""
    story = Story.of().over()
    for number in (50, 51):
        story.decoded(number, 12_000 + number)
        if ways > 1:
            story.failed(number, 12_100 + number, "WORKER_RESET")
    if ways > 3:
        story.submit(90, 13_000, answer={"queue_position": 8})
        story.engine("asked", 52, 13_100, busy=2)
    return story


def left(folder: Path, story: Story) -> dict[str, Path | None]:
    """The short history by broken rule, as report.json has it; None = a rule has none."""
    write_report(folder, story.records, judge(story.records))
    findings = json.loads((folder / "report.json").read_text())["findings"]
    return {one["rule"]: Path(one["shrunk"]) if one["shrunk"] else None for one in findings}


@pytest.mark.req("OC-TEST-7052")
@pytest.mark.parametrize("ways", [1, 2, 4])
def test_each_broken_rule_has_a_short_history_that_breaks_it_again(tmp_path: Path, ways: int) -> None:
    story = broken(ways=ways)
    found = left(tmp_path, story)

    assert len(found) >= ways
    files = {rule: path for rule, path in found.items() if path is not None}
    assert min(len(found), SHRUNK_MAX) == len(files)
    assert set(files.values()) == set(tmp_path.glob("shrunk-*.jsonl"))
    for rule, path in files.items():
        short = record.read(path)
        assert len(short) < len(story.records) / 5
        assert rule in {finding.rule for finding in judge(short).findings}


@pytest.mark.req("OC-TEST-7052")
def test_a_run_that_passes_leaves_none(tmp_path: Path) -> None:
    assert {} == left(tmp_path, Story.of().over())
    assert [] == list(tmp_path.glob("shrunk-*.jsonl"))

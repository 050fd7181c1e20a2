"""The timeline: where each bar, band and mark stands, and that a real Chromium shows them apart.

The run of these tests lasts as many milliseconds as the drawing has pixels for, so that a place is a time.
"""

import shutil
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from chaos.checks.finding import Finding
from chaos.facts import FOREVER, Facts
from chaos.judge import Verdict
from chaos.report.page import page
from chaos.report.timeline import LEFT, OUTCOMES, ROW, TOP, WIDTH, timeline
from chaos.tests.story import Story, name
from harness.checks.violation import Violation

SVG = "{http://www.w3.org/2000/svg}"
END_MS = WIDTH - LEFT - 10.0
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
FILL = "element => getComputedStyle(element).fill"
STROKE = "element => getComputedStyle(element).stroke"
IS_WIDE = "document.documentElement.scrollWidth > window.innerWidth"


def until(story: Story, at_ms: float, *, who: str = "c1") -> Story:
    """The story, told by one client and over at that time."""
    for record in story.records:
        if "who" in record:
            record["who"] = who
    story.add("phase", name="judge", at_ms=at_ms)
    return story


def drawn(story: Story, *findings: Finding) -> list[ET.Element]:
    """Everything in the drawing."""
    return list(ET.fromstring(timeline(Facts(story.records), findings)))  # noqa: S314 - our own drawing


def of(shapes: list[ET.Element], kind: str) -> list[ET.Element]:
    """Those of one class."""
    return [shape for shape in shapes if shape.get("class") == kind]


def span(bar: ET.Element) -> tuple[float, float]:
    """From when to when a bar lasts, in milliseconds."""
    start = float(bar.get("x", "")) - LEFT
    return start, start + float(bar.get("width", ""))


def title(shape: ET.Element) -> str:
    """What it says when it is pointed at."""
    return shape.findtext(f"{SVG}title") or ""


def finding(at_ms: float | None, subject: str = "run") -> Finding:
    """Something found at that time."""
    return Finding("one_end", subject, Violation("OC-CORE-1054", "one end", "two"), at_ms)


def decoding(number: int, from_ms: float, to_ms: float) -> Story:
    """A task that comes 100 ms before an engine is asked for it."""
    story = Story.of()
    story.submit(number, from_ms - 100)
    story.engine("asked", number, from_ms, busy=1)
    story.engine("let-go", number, to_ms)
    return story


@pytest.mark.req("OC-TEST-7053")
@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        pytest.param(None, "ended", id="ended"),
        pytest.param("CANCELED", "canceled", id="canceled"),
        pytest.param("QUEUE_FULL_DROP_LRU", "dropped", id="dropped"),
        pytest.param("ADMISSION_REJECT", "dropped", id="shed"),
        pytest.param("WORKER_RESET", "failed", id="failed"),
        pytest.param("no-end", "open", id="open"),
    ],
)
def test_a_task_waits_until_an_engine_is_asked_and_has_the_colour_of_its_end(code: str | None, outcome: str) -> None:
    story = decoding(1, 300, 500)
    if code is None:
        story.ended(1, 510)
    elif code != "no-end":
        story.failed(1, 510, code)
    shapes = drawn(until(story, END_MS))

    (waits,), (bar,) = of(shapes, "waits"), of(shapes, outcome)
    assert [(200, 300), (300, 500)] == [span(waits), span(bar)]
    assert [] == [shape.get("class") for other in OUTCOMES if other != outcome for shape in of(shapes, other)]
    assert f"{name(1)} batch: {code if outcome not in {'ended', 'open'} else outcome}" == title(bar)


def test_a_task_that_nothing_let_go_lasts_to_the_end_of_the_run() -> None:
    story = Story.of()
    story.submit(1, 200)
    story.engine("asked", 1, 300, busy=1)
    (bar,) = of(drawn(until(story, END_MS)), "open")

    assert (300, END_MS) == span(bar)


def test_a_task_that_was_never_asked_for_waits_and_leaves_a_tick() -> None:
    story = Story.of()
    story.submit(1, 200)
    story.failed(1, 700, "QUEUE_FULL_DROP_LRU")
    shapes = drawn(until(story, END_MS))

    assert [(200, 700), (700, 701.5)] == [span(shape) for kind in ("waits", "dropped") for shape in of(shapes, kind)]


def test_a_refused_task_is_a_tick_where_it_came() -> None:
    story = Story.of()
    story.submit(1, 400, status=429)
    shapes = drawn(until(story, END_MS))

    assert [LEFT + 400] == [float(shape.get("x", "")) for shape in of(shapes, "refused")]
    assert [] == [shape for kind in OUTCOMES for shape in of(shapes, kind)]


def test_every_client_has_a_row_and_they_stand_by_number_before_the_others() -> None:
    story = Story.of()
    for number, who in enumerate(("flood", "c10", "c2")):
        story.submit(number, 10.0 * number)
        story.records[-1]["who"] = who
    story.add("phase", name="judge", at_ms=END_MS)
    rows = of(drawn(story), "who")

    assert ["c2", "c10", "flood"] == [row.text for row in rows]
    assert [ROW, ROW] == [float(below.get("y", "")) - float(above.get("y", "")) for above, below in pairwise(rows)]


@pytest.mark.req("OC-TEST-7053")
def test_a_fault_is_a_band_over_all_rows_for_as_long_as_it_lasted() -> None:
    story = decoding(1, 300, 500)
    story.add("fault", name="cut", at_ms=250.0, until_ms=600.0, hits=2, told="2 times <reset>")
    story.add("fault", name="kill-server", at_ms=700.0, until_ms=700.0, hits=1, told="it ended")
    bands = of(drawn(until(story, END_MS)), "fault")

    assert [(250, 600), (700, 702)] == [span(band) for band in bands], "one that took no time is still seen"
    assert ["cut: 2 times <reset>", "kill-server: it ended"] == [title(band) for band in bands]
    top, height = float(bands[0].get("y", "")), float(bands[0].get("height", ""))
    assert top < TOP < TOP + ROW < top + height


def test_names_of_faults_that_follow_closely_do_not_cover_each_other() -> None:
    story = Story.of()
    for at_ms in (100.0, 110.0, 400.0):
        story.add("fault", name="pause-server", at_ms=at_ms, until_ms=at_ms + 5, hits=1, told="")
    lines = [float(shape.get("y", "")) for shape in of(drawn(until(story, END_MS)), "name")]

    assert lines[0] != lines[1]
    assert lines[0] == lines[2]


@pytest.mark.req("OC-TEST-7053")
def test_a_finding_is_marked_where_it_showed_and_one_of_no_moment_is_not() -> None:
    story = until(decoding(1, 300, 500), END_MS)
    marks = of(drawn(story, finding(640, "task <1>"), finding(None), finding(FOREVER)), "broken")

    assert [(LEFT + 640, LEFT + 640)] == [tuple(float(mark.get(x, "")) for x in ("x1", "x2")) for mark in marks]
    assert ["one_end: task <1>"] == [title(mark) for mark in marks]


def test_phases_follow_each_other_and_the_axis_counts_seconds() -> None:
    story = Story.of()
    story.add("phase", name="warm-up", at_ms=0.0)
    story.add("phase", name="faults", at_ms=400.0)
    shapes = drawn(until(story, END_MS))

    assert [(0, 400), (400, END_MS), (END_MS, END_MS)] == [span(shape) for shape in of(shapes, "phase")]
    assert ["warm-up", "faults"] == [shape.text for shape in of(shapes, "phase-name")]
    assert [("0 s", LEFT), ("1 s", LEFT + 1000)] == [(t.text, float(t.get("x", ""))) for t in of(shapes, "tick")]


@pytest.mark.real_part
@pytest.mark.req("OC-TEST-7053")
def test_chromium_shows_bars_bands_and_marks_apart_and_asks_for_nothing(tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    assert chromium is not None, "Debian's chromium is not installed: apt-get install chromium"
    story = decoding(1, 300, 500)
    story.ended(1, 510)
    story.submit(2, 520)
    story.failed(2, 700, "WORKER_RESET")
    story.add("fault", name="cut", at_ms=600.0, until_ms=900.0, hits=2, told="2 times <b>reset</b>")
    facts = Facts(until(story, END_MS).records)
    path = tmp_path / "report.html"
    path.write_text(page(facts, Verdict("fail", (finding(640),)), "llama-orch chaos --seed 1"), encoding="utf-8")
    asked: list[str] = []
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, headless=True, args=FLAGS)
        tab = browser.new_page(viewport={"width": 1300, "height": 900})
        tab.on("request", lambda request: asked.append(request.url))
        tab.on("console", lambda message: complaints.append(message.text))
        tab.goto(path.as_uri())
        text = tab.inner_text("body")
        svg = tab.locator(".wide > svg")
        boxes = {kind: svg.locator(f".{kind}").first.bounding_box() for kind in ("ended", "failed", "fault", "broken")}
        colours = {kind: svg.locator(f".{kind}").first.evaluate(FILL) for kind in ("ended", "failed", "fault")}
        colours["broken"] = svg.locator(".broken").evaluate(STROKE)
        is_wide = tab.evaluate(IS_WIDE)
        tab.set_viewport_size({"width": 400, "height": 900})
        is_wide |= tab.evaluate(IS_WIDE)
        browser.close()

    ended, failed, band, mark = (boxes[kind] for kind in ("ended", "failed", "fault", "broken"))
    assert ended and failed and band and mark  # noqa: PT018 - all are shown
    assert ended["x"] + ended["width"] < band["x"] < mark["x"] < failed["x"] < band["x"] + band["width"]
    assert band["y"] < ended["y"] < ended["y"] + ended["height"] < band["y"] + band["height"]
    assert len({colours["ended"], colours["failed"], colours["fault"]}) == 3
    assert colours["broken"] == colours["fault"], "trouble has one colour"
    assert "2 times <b>reset</b>" in text
    assert "Findings: 1" in text
    assert ([path.as_uri()], [], False) == (asked, complaints, is_wide)

"""The page: every seed and every condition in its map, the odd one marked, and nothing loaded from elsewhere."""

import os
import re
import shutil
from pathlib import Path

import pytest

from determinism.compare import compare
from determinism.explain import explain
from determinism.lab import Bench
from determinism.recording import Conditions
from determinism.report import html_page
from determinism.run import Run
from determinism.seeds import cases
from determinism.tests.streams import both_replicas, recorded
from determinism.tests.test_explain import FakeLab
from determinism.verdict import equality, pinned

ODD = 21
COLOUR = "element => getComputedStyle(element).backgroundColor"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """64 seeds on two replicas, one token of one of them flipped to markup, and the direct way of some."""
    made = Run(Bench(None, tokens=32, folder=tmp_path), cases())
    streams = both_replicas()
    streams[ODD] = streams[ODD].flipped(9, " <script>alert(1)</script>")
    made.evidence.taken["replicas"] = list(streams)
    made.evidence.taken["direct"] = [recorded(case, Conditions(path="direct")) for case in cases()[:20]]
    found = compare(streams)
    made.verdicts = [
        equality("replicas", made.evidence, found, [explain(found[0], FakeLab({"replica"}))]),
        pinned(made.evidence),
    ]
    return made


@pytest.mark.req("OC-TEST-7060")
def test_the_page_has_every_seed_the_odd_cell_and_its_explanation(run: Run) -> None:
    text = html_page.page(run, command="llama-orch determinism")

    assert all(f"<th>{case.seed}</th>" in text for case in cases())
    assert 1 == len(re.findall(r"<i class=other title=[^>]*>9</i>", text))
    assert 2 * 64 + 20 - 1 == len(re.findall(r"<i class=equal title", text))
    assert "smallest factor: replica" in text
    assert "1 of 2 checks failed" in text


def test_the_page_is_self_contained_and_escapes_what_engines_say(run: Run) -> None:
    text = html_page.page(run, command="llama-orch determinism")

    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert not re.search(r"(?:src|href)=|url\(|@import", text)


@pytest.mark.real_part
def test_chromium_shows_the_odd_cell_in_another_colour(run: Run, tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    path = tmp_path / "page.html"
    path.write_text(html_page.page(run, command="llama-orch determinism"), encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 1400})
        page.goto(path.as_uri())
        colours = [page.locator(f".map i.{kind}").first.evaluate(COLOUR) for kind in ("equal", "other")]
        heights = page.locator(".map i.equal").first.bounding_box()
        page.screenshot(path=os.environ.get("DETERMINISM_SCREENSHOT", str(tmp_path / "page.png")))
        browser.close()

    assert colours[0] != colours[1]
    assert heights is not None
    assert heights["height"] >= 10

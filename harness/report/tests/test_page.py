"""The page in a browser: a real Chromium lays it out, offline, and shows what failed."""

import shutil
from pathlib import Path

import pytest

from harness.report.json_file import as_json
from harness.report.page import page
from harness.report.prose import prose
from harness.report.tests.test_reports import OPTIONS, gathered

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
IS_WIDE = "document.documentElement.scrollWidth > window.innerWidth"


def test_a_sentence_has_code_and_no_markup_of_its_own() -> None:
    assert "<code>a &lt;b&gt;</code> MUST be 1 &lt; 2 `" == prose("`a <b>` MUST be 1 < 2 `")


@pytest.mark.real_part
@pytest.mark.req("HME-023")
def test_chromium_shows_what_failed_how_to_repeat_it_and_the_matrix(tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    assert chromium is not None, "Debian's chromium is not installed: apt-get install chromium"
    path = tmp_path / "report.html"
    report = as_json(gathered({"queue-1/c": "a <gap>"}), exit_code=1, options=OPTIONS, implementation={})
    path.write_text(page(report), encoding="utf-8")
    asked: list[str] = []
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, headless=True, args=FLAGS)
        tab = browser.new_page()
        tab.on("request", lambda request: asked.append(request.url))
        tab.on("console", lambda message: complaints.append(message.text))
        tab.goto(path.as_uri())
        text = tab.inner_text("body")
        tab.click("article:nth-of-type(1) summary")
        trace = tab.inner_text("article:nth-of-type(1) details")
        verdicts = tab.locator("#matrix tbody tr").all_inner_texts()
        is_wide = tab.evaluate(IS_WIDE)
        tab.set_viewport_size({"width": 400, "height": 900})
        is_wide |= tab.evaluate(IS_WIDE)
        browser.close()

    assert "Queue [1]: test_b" in text
    assert "llama-orch conform --url http://127.0.0.1:1 --check queue-1/b" in text
    assert "Known gap: a <gap>" in text
    assert "GET /metrics <b>" in trace
    assert ["ORCH-2007", "FAIL"] == verdicts[0].split("\t")[:2]
    assert ([path.as_uri()], [], False) == (asked, complaints, is_wide)

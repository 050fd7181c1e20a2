"""The status page as a person sees it: in a real Chromium, on a real server."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from reference_server.tests.test_serve import call, server, task

pytestmark = [pytest.mark.real_part, pytest.mark.req("OC-CTRL-2073")]

CHROMIUM = os.environ.get("LLORCH_CHROMIUM", "/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
SLOW = {"kind": "mock", "ctx_max": 200_000, "token_ms": 20, "slots": 1}  # runs until it is canceled
SOON_MS = 20_000
MARKUP = "<img src=x onerror=document.title='owned'>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page on which nothing may complain: no script error, no breach of its own policy."""
    complaints: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and "Failed to load resource" not in message.text:
            complaints.append(message.text)

    opened = browser.new_page(viewport={"width": 1000, "height": 800})
    opened.on("console", hear)
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.set_default_timeout(SOON_MS)
    yield opened
    opened.close()
    assert [] == complaints


def configured(folder: Path, **pool: object) -> str:
    file = folder / "c.yaml"
    file.write_text(json.dumps({"pools": [{"id": "first", "replicas": [SLOW], **pool}]}))
    return str(file)


def long_task(**changes: object) -> dict[str, object]:
    return task(ctx=200_000, max_tokens=100_000, deadline_ms=10_000_000, **changes)


def shows(page: Page, text: str, *, at: str = "body") -> None:
    """Wait until this can be read."""
    expect(page.locator(at)).to_contain_text(text, timeout=SOON_MS)


def test_it_shows_pools_queues_and_running_tasks_and_follows_them(page: Page, tmp_path: Path) -> None:
    running, waiting = long_task(), long_task(priority="batch")
    with server("--config", configured(tmp_path)) as (_, url):
        call(f"{url}/v1/tasks", running)
        call(f"{url}/v1/tasks", waiting)
        page.goto(url)

        shows(page, "ready", at="[data-pool=first] h3")
        shows(page, "1 of 1", at="[data-pool=first]")
        row = page.locator("[data-pool=first] tr")
        expect(row.filter(has_text="batch queue")).to_contain_text("1 of 64", timeout=SOON_MS)
        expect(row.filter(has_text="interactive queue")).to_contain_text("0 of 64", timeout=SOON_MS)
        shows(page, str(running["task_id"]), at="#tasks")
        assert str(waiting["task_id"]) not in page.inner_text("body")

        call(f"{url}/v1/tasks/{running['task_id']}/cancel", {}, method="POST")
        shows(page, str(waiting["task_id"]), at="#tasks")
        expect(page.locator(f"[data-task='{running['task_id']}']")).to_have_count(0, timeout=SOON_MS)

        call(f"{url}/v1/pools/first/drain", {"deadline_ms": 600_000})
        shows(page, "draining", at="[data-pool=first] h3")


@pytest.mark.req("OC-POOL-3016")
def test_it_shows_that_a_pool_sheds_load(page: Page, tmp_path: Path) -> None:
    late, level = long_task(), {"queue_ms": 1, "percent": 100, "window_ms": 600_000, "tasks_min": 1}
    with server("--config", configured(tmp_path, service_level=level)) as (_, url):
        call(f"{url}/v1/tasks", long_task())
        call(f"{url}/v1/tasks", late)
        page.goto(url)
        queue = page.locator("[data-pool=first] tr").filter(has_text="interactive queue")
        expect(queue).to_contain_text("1 of 64", timeout=SOON_MS)
        assert "sheds load" not in page.inner_text("body")

        call(f"{url}/v1/tasks/{late['task_id']}/cancel", {}, method="POST")
        shows(page, "sheds load", at="[data-pool=first] h3")


def test_it_asks_for_the_token_and_keeps_it_in_no_store(page: Page, tmp_path: Path) -> None:
    with server("--config", configured(tmp_path), LLORCH_API_TOKEN="planted-7d1f") as (_, url):
        page.goto(url)
        shows(page, "wants its token", at="#state")
        assert not page.is_visible("#shown")

        page.fill("#token", "wrong")
        page.click("button")
        shows(page, "the API token is wrong", at="#why")

        page.fill("#token", "planted-7d1f")
        page.click("button")
        shows(page, "ready", at="[data-pool=first] h3")
        assert [0, 0, ""] == page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]")
        assert "planted-7d1f" not in page.content()


def test_it_says_that_the_server_is_gone_and_what_was_last_known(page: Page, tmp_path: Path) -> None:
    with server("--config", configured(tmp_path)) as (process, url):
        page.goto(url)
        shows(page, "live", at="#state")
        process.kill()

        shows(page, "no answer", at="#state")
        shows(page, "this is how it was at", at="#state")
        shows(page, "first", at="#pools")


def test_what_strangers_named_is_text_and_no_markup(page: Page, tmp_path: Path) -> None:
    with server("--config", configured(tmp_path, model_ref=MARKUP)) as (_, url):
        page.goto(url)
        shows(page, MARKUP, at="#pools")

        assert 0 == page.locator("img").count()
        assert "OrchQueue status" == page.title()

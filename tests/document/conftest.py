"""A browser: what people read in one is looked at in one."""

import shutil

import pytest
from playwright.sync_api import sync_playwright


@pytest.fixture(scope="module")
def browser():
    """Chromium of the system (README: what the tests need).

    For a module and no longer: its driver is a running event loop, beside which no test of another module could
    have one.
    """
    found = shutil.which("chromium")
    assert found, "These tests read pages in Chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def opened(browser):
    """Open bytes as a page; what it asked for beyond them is kept."""
    context = browser.new_context(viewport={"width": 1000, "height": 900}, java_script_enabled=False, offline=True)

    def open_(content):
        page = context.new_page()
        page.asked = []
        page.on("request", lambda request: page.asked.append(request.url))
        page.set_content(content.decode())
        return page

    yield open_
    context.close()

"""A browser: what people read in one is looked at in one."""

import shutil

import pytest
from playwright.async_api import async_playwright


def pytest_collection_modifyitems(items):
    """What needs a browser is among the slower checks: ``make test`` needs Python and make alone."""
    for item in items:
        if "opened" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


@pytest.fixture
async def opened():
    """Open bytes as a page in Chromium, without scripts or a network; what it asked for is kept in ``asked``."""
    found = shutil.which("chromium")
    assert found, "These tests read pages in Chromium: apt-get install chromium"
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        context = await running.new_context(
            viewport={"width": 1000, "height": 900}, java_script_enabled=False, offline=True
        )

        async def open_(content):
            page = await context.new_page()
            page.asked = []
            page.on("request", lambda request: page.asked.append(request.url))
            await page.set_content(content.decode())
            return page

        yield open_
        await running.close()

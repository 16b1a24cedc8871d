"""One Chromium for all browser tests of a worker; each person who visits has a tab and cookies of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from selenium.webdriver import Chrome

from tests.browser.chromium import BrowserMissing, Visitor, chromium


@pytest.fixture(scope="session")
def browser() -> Iterator[Chrome]:
    try:
        running = chromium()
        driver = running.__enter__()
    except BrowserMissing as missing:
        pytest.skip(str(missing))
    yield driver
    running.__exit__(None, None, None)


@pytest.fixture
async def visit(browser: Chrome, request: pytest.FixtureRequest) -> AsyncIterator[Callable[[str], Visitor]]:
    """Opens a tab for somebody. What they see when the test is over is kept as a picture."""
    visitors = []

    def new(name: str) -> Visitor:
        visitors.append(Visitor(browser, name))
        return visitors[-1]

    yield new
    for visitor in visitors:
        await visitor.picture(request.node.name)
        visitor.leave()

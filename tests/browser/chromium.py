"""A real Chromium for tests, driven through its WebDriver; several people use one at a time, each with cookies of their own.

Chromium and its driver are the system's. The rule that keeps it honest: nothing is fetched, neither by the driver's library (it is told
where the driver is) nor by the browser (it resolves no name but ``localhost``).
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import trio
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, TimeoutException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.command import Command
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

T = TypeVar("T")

PATIENCE: Final = 30.0
"""Seconds a page has to show what it is expected to show."""

PICTURES: Final = Path(__file__).parents[2] / "results" / "browser"
"""Where pictures of pages are kept; git ignores the folder."""

PROGRAMS: Final = {"chromium": "chromium", "chromedriver": "chromium-driver"}
"""The commands and Debian's packages that have them."""

FLAGS: Final = (
    "--headless=new",
    "--no-sandbox",  # Chromium's own refuses to run as root
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",  # small in containers
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
    "--window-size=900,700",
)


class BrowserMissing(Exception):
    """What is missing to run Chromium here."""


@contextmanager
def chromium() -> Iterator[webdriver.Chrome]:
    """A Chromium with an empty profile, without a window. Raises ``BrowserMissing``."""
    found = {command: shutil.which(command) for command in PROGRAMS}
    missing = [f"{command} (package {PROGRAMS[command]})" for command, path in found.items() if path is None]
    if missing:
        raise BrowserMissing(f"not installed: {', '.join(missing)}")
    with tempfile.TemporaryDirectory(prefix="trio-router-browser-", ignore_cleanup_errors=True) as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = found["chromium"]
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("webSocketUrl", True)  # WebDriver BiDi, which knows of user contexts
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = webdriver.Chrome(options=options, service=Service(found["chromedriver"]))
        try:
            yield driver
        finally:
            # As driver.quit(), which would sometimes wait ten seconds for the thread of its WebSocket, which ends by itself.
            driver.execute(Command.QUIT)
            driver.service.stop()
            driver.command_executor.close()


class Visitor:
    """One person in front of one tab. ``name`` names the pictures; selectors are those of CSS.

    Every method works in a thread, so that the services of the test go on meanwhile.
    """

    def __init__(self, driver: webdriver.Chrome, name: str) -> None:
        self._driver = driver
        self._name = name
        self._context = driver.browser.create_user_context()
        self._window = driver.browsing_context.create(type="tab", user_context=self._context)

    def leave(self) -> None:
        """Close the tab, and forget the cookies."""
        self._driver.browser.remove_user_context(self._context)
        self._driver.switch_to.window(self._driver.window_handles[0])

    async def run(self, step: Callable[[webdriver.Chrome], T]) -> T:
        """Whatever ``step`` does with the driver, in this tab."""
        return await trio.to_thread.run_sync(partial(self._in_tab, step))

    def _in_tab(self, step: Callable[[webdriver.Chrome], T]) -> T:
        self._driver.switch_to.window(self._window)
        return step(self._driver)

    async def open(self, url: str) -> None:
        """Go to ``url`` and wait until it is loaded."""
        await self.run(lambda driver: driver.get(url))

    async def url(self) -> str:
        """Where the tab is."""
        return await self.run(lambda driver: driver.current_url)

    async def fill(self, selector: str, text: str) -> None:
        """Type ``text`` into a field."""

        def step(driver: webdriver.Chrome) -> None:
            field = _find(driver, selector)
            field.clear()
            field.send_keys(text)

        await self.run(step)

    async def click(self, selector: str) -> None:
        """Press it."""
        await self.run(lambda driver: _find(driver, selector).click())

    async def texts(self, selector: str) -> list[str]:
        """What the elements say, in their order."""
        return await self.run(lambda driver: _texts(driver, selector))

    async def sees(self, selector: str, expected: str) -> str:
        """Wait until one of the elements says something with ``expected`` in it, and give all it says."""

        def step(driver: webdriver.Chrome) -> str:
            def found(_: object) -> str | None:
                return next((text for text in _texts(driver, selector) if expected in text), None)

            try:
                return _wait(driver, found)
            except TimeoutException:
                where, console = driver.current_url, [entry["message"] for entry in driver.get_log("browser")]
                shown = _texts(driver, "body")
                raise AssertionError(f"{expected!r} not in {selector} of {where}: {shown}\n{console}") from None

        return await self.run(step)

    async def arrives(self, path: str) -> None:
        """Wait until the tab is at this path of whatever host."""

        def step(driver: webdriver.Chrome) -> None:
            try:
                _wait(driver, lambda _: re.fullmatch(rf"[a-z]+://[^/]+{re.escape(path)}", driver.current_url))
            except TimeoutException:
                raise AssertionError(f"at {driver.current_url} and not at {path}") from None

        await self.run(step)

    async def script(self, text: str) -> object:
        """What a script says when it runs in the page; a promise is awaited."""
        return await self.run(lambda driver: driver.execute_script(text))

    async def console(self) -> list[dict[str, object]]:
        """What pages of the whole browser have written to their consoles since this was last asked."""
        return await self.run(lambda driver: driver.get_log("browser"))

    async def picture(self, name: str) -> Path:
        """Keep a picture of the page."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        path = PICTURES / f"{name}-{self._name}.png"
        await self.run(lambda driver: driver.save_screenshot(str(path)))
        return path


def _wait(driver: webdriver.Chrome, found: Callable[[object], T | None]) -> T:
    return WebDriverWait(driver, PATIENCE, poll_frequency=0.05).until(found)


def _find(driver: webdriver.Chrome, selector: str) -> WebElement:
    return _wait(driver, lambda _: next(iter(driver.find_elements(By.CSS_SELECTOR, selector)), None))


def _texts(driver: webdriver.Chrome, selector: str) -> list[str]:
    while True:
        try:
            return [element.text for element in driver.find_elements(By.CSS_SELECTOR, selector)]
        except StaleElementReferenceException:  # the page changed between finding and reading
            continue

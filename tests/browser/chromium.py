"""A tab of Chromium that tests use as a person does. It also reports requests, console messages and accessibility."""

from __future__ import annotations

import base64
import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
DESKTOP, TABLET, PHONE = (1440, 900), (820, 1180), (390, 844)
WAIT_SECONDS = 120
# The `pytestmark` of every test module in this folder that needs a browser.
NEEDED = [
    pytest.mark.stack,
    pytest.mark.browser,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER), reason="the page was not tested: Chromium or ChromeDriver is missing"
    ),
    pytest.mark.skipif(
        not AXE.exists(), reason="the page was not tested: axe-core is not installed (cd tests/browser && npm ci)"
    ),
]


class Browser:
    """One tab. `url` is that of the stack, the only origin to which the page may send requests."""

    def __init__(self, driver: webdriver.Chrome, url: str) -> None:
        self.driver, self.url = driver, url
        self.clicks = 0
        self.expected: list[str] = []  # parts of console messages that the test causes
        self.urls: dict[str, str] = {}  # of requests in progress, by the browser's request id

    @classmethod
    @contextmanager
    def open(cls, url: str, size: tuple[int, int] = DESKTOP, *, dark: bool = False) -> Iterator[Browser]:
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM or ""
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                         "--hide-scrollbars", "--lang=en"):  # fmt: skip
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        driver = webdriver.Chrome(options=options, service=Service(DRIVER))
        try:
            opened = cls(driver, url)
            opened.resize(*size)
            feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
            driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
            yield opened
        finally:
            driver.quit()

    # ------------------------------------------------------------------- use

    def go(self, path: str = "/") -> None:
        self.driver.get(self.url + path)

    def sign_in(self, key: str) -> None:
        self.go()
        self.type("#key", key)
        self.click("#signin .primary")
        ended = "return Boolean(document.querySelector('.frame, #refused:not([hidden])'))"
        self.until(lambda: self.driver.execute_script(ended), "neither signed in nor refused")

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def find(self, selector: str, seconds: float = WAIT_SECONDS) -> WebElement:
        """The first displayed element that matches `selector`."""
        found: WebElement = self.until(
            lambda: next((e for e in self.all(selector) if e.is_displayed()), None), f"no {selector}", seconds
        )
        return found

    def type(self, selector: str, text: str) -> None:
        element = self.find(selector)
        element.clear()
        element.send_keys(text)

    def click(self, selector: str, text: str = "") -> None:
        """Clicks the first usable element that matches `selector` and contains `text`."""

        def clicked() -> bool:
            usable = (e for e in self.all(selector) if e.is_displayed() and e.is_enabled() and text in e.text)
            if (element := next(usable, None)) is None:
                return False
            self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
            element.click()
            return True

        self.until(clicked, f"no {selector} with {text!r}")
        self.clicks += 1

    def press(self, *keys: str) -> None:
        """Types keys into the focused element."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def tab_to(self, text: str, *, most: int = 80) -> None:
        """Presses Tab until the focused element has `text` in its text, label or id."""
        for _ in range(most):
            self.press(Keys.TAB)
            element = self.driver.switch_to.active_element
            if text in f"{element.text}\n{element.get_attribute('aria-label') or ''}\n{element.get_attribute('id')}":
                return
        raise AssertionError(f"Tab does not reach {text!r}; the page shows:\n{self.text[:3000]}")

    def resize(self, width: int, height: int = 900) -> None:
        """Changes the size of the window, and waits until the page was drawn with it."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.wait_until_drawn()

    def wait_until_drawn(self) -> None:
        """Waits for two frames. In the first one, a chart of a new size is drawn again."""
        self.driver.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")

    def wait_until_loaded(self) -> None:
        """Waits until nothing is loading, twice: a part that was loaded may load another one."""
        for _ in range(2):
            self.until(lambda: self.all(".frame #main h1") and not self.all(".skeleton"), "the page is still loading")
            time.sleep(0.3)

    def shows(self, text: str, seconds: float = WAIT_SECONDS) -> str:
        """Waits until the page shows `text`. Returns the whole text of the page."""
        shown: str = self.until(lambda: self.text if text in self.text else None, f"{text!r} is not shown", seconds)
        return shown

    def lacks(self, text: str, seconds: float = WAIT_SECONDS) -> None:
        """Waits until the page does not show `text`."""
        self.until(lambda: text not in self.text, f"{text!r} is still shown", seconds)

    @property
    def text(self) -> str:
        return str(self.driver.execute_script("return document.body.innerText"))

    def until(self, look: Callable[[], Any], fault: str, seconds: float = WAIT_SECONDS) -> Any:
        """Calls `look` until its result is true, and returns the result. `fault` is the message if it never is."""
        end = time.monotonic() + seconds
        while True:
            try:
                found = look()
            except StaleElementReferenceException:
                found = None
            if found:
                return found
            if time.monotonic() > end:
                raise AssertionError(f"{fault}; the page shows:\n{self.text[:3000]}")
            time.sleep(0.05)

    def poll_fast(self) -> None:
        """Makes the page poll every half second instead of every ten seconds."""
        self.driver.execute_script(
            "const plain = window.setTimeout;"
            "window.setTimeout = (go, milliseconds, ...more) =>"
            " plain(go, milliseconds === 10_000 ? 500 : milliseconds, ...more);"
        )

    def hold(self, part: str) -> None:
        """Holds requests whose URL contains `part` until `release` is called or the page is loaded again."""
        self.driver.execute_script(
            """
            window.plain ??= window.fetch;
            window.held = [];
            window.fetch = (path, options) => !path.includes(arguments[0]) ? plain(path, options)
              : new Promise((go) => held.push(go)).then(() => plain(path, options));
            """,
            part,
        )

    def held_requests(self) -> int:
        """The number of requests that `hold` holds."""
        return int(self.driver.execute_script("return held.length"))

    def release(self) -> None:
        """Sends the held requests; later ones are not held."""
        self.driver.execute_script("window.fetch = plain; held.splice(0).forEach((go) => go())")

    # --------------------------------------------------------------- reports

    def console_errors(self) -> list[str]:
        """Errors and warnings that the console has got since the last call."""
        return [e["message"] for e in self.driver.get_log("browser") if e["level"] in ("SEVERE", "WARNING")]

    def requested_urls(self) -> list[str]:
        """The URL of every request that the page sent since the last call of this method or of `traffic`."""
        return [str(p["request"]["url"]) for p in self.traffic("Network.requestWillBeSent")]

    def traffic(self, *methods: str) -> list[dict[str, Any]]:
        """Network events of the browser with one of `methods`, in order, since the last call; others are dropped."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [m["params"] | {"method": m["method"]} for m in messages if m["method"] in methods]

    def broken_words(self) -> list[str]:
        """Words of tables, headings and buttons that are broken over two lines. Code and ids are not checked."""
        found = self.driver.execute_script(
            """
            const broken = [], range = document.createRange();
            for (const element of document.querySelectorAll("#main :is(td, th, h1, h2, button, dt, dd, .badge)")) {
              const walk = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
              for (let node = walk.nextNode(); node; node = walk.nextNode()) {
                if (node.parentElement.closest("code, pre, .hidden, [hidden]")) continue;
                for (const word of node.data.matchAll(/[^\\s-]+/g)) {
                  range.setStart(node, word.index);
                  range.setEnd(node, word.index + word[0].length);
                  const lines = new Set([...range.getClientRects()].map((box) => Math.round(box.top)));
                  if (lines.size > 1) broken.push(word[0]);
                }
              }
            }
            return broken;
            """
        )
        return [str(word) for word in found]

    def accessibility_faults(self) -> list[str]:
        """Faults that axe-core finds, also against its best practices."""
        self.driver.execute_script(AXE.read_text())
        found = self.driver.execute_async_script(
            "const done = arguments[0];"
            "axe.run(document, {resultTypes: ['violations']}).then((found) => done(found.violations))"
        )
        return [f"{v['id']}: {v['help']}: {[node['html'] for node in v['nodes']][:3]}" for v in found]

    def picture(self, *, whole: bool = False) -> bytes:
        """A PNG of the visible part of the page; with `whole`, of its first 3,000 px."""
        arguments: dict[str, Any] = {}
        if whole:
            size = self.driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
            clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 3000), "scale": 1}
            arguments = {"captureBeyondViewport": True, "clip": clip}
        return base64.b64decode(self.driver.execute_cdp_cmd("Page.captureScreenshot", arguments)["data"])

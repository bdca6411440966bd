"""Chromium on the page, as a person uses it: what it says, what it asks for, what it complains about."""

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
# Of every module of tests here.
NEEDED = [
    pytest.mark.stack,
    pytest.mark.browser,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="the page was not tested: no Chromium and ChromeDriver here"),
    pytest.mark.skipif(
        not AXE.exists(), reason="the page was not tested: axe-core is not installed (cd tests/browser && npm ci)"
    ),
]


class Browser:
    """One tab. `url` is the stack's; every other origin is a fault."""

    def __init__(self, driver: webdriver.Chrome, url: str) -> None:
        self.driver, self.url = driver, url
        self.clicks = 0
        self.expected: list[str] = []  # parts of complaints that a test is about
        self.names: dict[str, str] = {}  # addresses of requests that are under way, by the browser's ids

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
        refused = "return Boolean(document.querySelector('.frame, #refused:not([hidden])'))"
        self.until(lambda: self.driver.execute_script(refused), "neither signed in nor refused")

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def find(self, selector: str, seconds: float = WAIT_SECONDS) -> WebElement:
        """The first that is displayed."""
        found: WebElement = self.until(
            lambda: next((e for e in self.all(selector) if e.is_displayed()), None), f"no {selector}", seconds
        )
        return found

    def type(self, selector: str, text: str) -> None:
        element = self.find(selector)
        element.clear()
        element.send_keys(text)

    def click(self, selector: str, text: str = "") -> None:
        def candidate() -> WebElement | None:
            return next((e for e in self.all(selector) if e.is_displayed() and e.is_enabled() and text in e.text), None)

        element = self.until(candidate, f"no {selector} with {text!r}")
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()
        self.clicks += 1

    def press(self, *keys: str) -> None:
        """Into whatever has the focus."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def tab_to(self, text: str, *, most: int = 80) -> None:
        """Presses Tab until what has the focus shows `text`, or is called so."""
        for _ in range(most):
            self.press(Keys.TAB)
            element = self.driver.switch_to.active_element
            if text in f"{element.text}\n{element.get_attribute('aria-label') or ''}\n{element.get_attribute('id')}":
                return
        raise AssertionError(f"Tab does not reach {text!r}; shown is:\n{self.text[:3000]}")

    def resize(self, width: int, height: int = 900) -> None:
        """Changes the size of the window, and waits until the page was drawn with it."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.drawn()

    def drawn(self) -> None:
        """Waits for two frames: a chart draws itself again in the first, when it learns its new size."""
        self.driver.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")

    def settled(self) -> None:
        """Waits until nothing is loading, and what was loaded loads nothing more."""
        for _ in range(2):
            self.until(lambda: self.all(".frame #main h1") and not self.all(".skeleton"), "it is still loading")
            time.sleep(0.3)

    def says(self, text: str, seconds: float = WAIT_SECONDS) -> str:
        """Waits for `text` and returns all that is shown."""
        shown: str = self.until(lambda: self.text if text in self.text else None, f"{text!r} is not shown", seconds)
        return shown

    def lacks(self, text: str, seconds: float = WAIT_SECONDS) -> None:
        self.until(lambda: text not in self.text, f"{text!r} is still shown", seconds)

    @property
    def text(self) -> str:
        return str(self.driver.execute_script("return document.body.innerText"))

    def until(self, look: Callable[[], Any], fault: str, seconds: float = WAIT_SECONDS) -> Any:
        end = time.monotonic() + seconds
        while True:
            try:
                found = look()
            except StaleElementReferenceException:
                found = None
            if found:
                return found
            if time.monotonic() > end:
                raise AssertionError(f"{fault}; shown is:\n{self.text[:3000]}")
            time.sleep(0.05)

    def hurry(self) -> None:
        """Makes the page poll every half second, not every ten seconds."""
        self.driver.execute_script(
            "const plain = window.setTimeout;"
            "window.setTimeout = (go, milliseconds, ...more) =>"
            " plain(go, milliseconds === 10_000 ? 500 : milliseconds, ...more);"
        )

    def hold(self, part: str) -> None:
        """Holds requests of addresses with `part` until `release`, or until the page is loaded."""
        self.driver.execute_script(
            """
            window.plain ??= window.fetch;
            window.held = [];
            window.fetch = (path, options) => !path.includes(arguments[0]) ? plain(path, options)
              : new Promise((go) => held.push(go)).then(() => plain(path, options));
            """,
            part,
        )

    def held(self) -> int:
        """The number of requests that are held."""
        return int(self.driver.execute_script("return held.length"))

    def release(self) -> None:
        self.driver.execute_script("window.fetch = plain; held.splice(0).forEach((go) => go())")

    # --------------------------------------------------------------- look at

    def complaints(self) -> list[str]:
        """Errors and warnings of the console."""
        return [e["message"] for e in self.driver.get_log("browser") if e["level"] in ("SEVERE", "WARNING")]

    def asked(self) -> list[str]:
        """The address of every request that the page made since this was last asked."""
        return [str(p["request"]["url"]) for p in self.traffic("Network.requestWillBeSent")]

    def traffic(self, *methods: str) -> list[dict[str, Any]]:
        """Network events of the browser since the last call, in order."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [m["params"] | {"method": m["method"]} for m in messages if m["method"] in methods]

    def sliced(self) -> list[str]:
        """Words of tables, headings and buttons that are broken over two lines. Codes and ids may be."""
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

    def barriers(self) -> list[str]:
        """Findings of axe-core, best practices included."""
        self.driver.execute_script(AXE.read_text())
        found = self.driver.execute_async_script(
            "const done = arguments[0];"
            "axe.run(document, {resultTypes: ['violations']}).then((found) => done(found.violations))"
        )
        return [f"{v['id']}: {v['help']}: {[node['html'] for node in v['nodes']][:3]}" for v in found]

    def picture(self, *, whole: bool = False) -> bytes:
        arguments: dict[str, Any] = {}
        if whole:
            size = self.driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
            clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 3000), "scale": 1}
            arguments = {"captureBeyondViewport": True, "clip": clip}
        return base64.b64decode(self.driver.execute_cdp_cmd("Page.captureScreenshot", arguments)["data"])

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

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
DESKTOP, PHONE = (1280, 900), (390, 844)
WAIT_SECONDS = 120


class Browser:
    """One tab. `url` is the stack's; every other origin is a fault."""

    def __init__(self, driver: webdriver.Chrome, url: str) -> None:
        self.driver, self.url = driver, url

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
            width, height = size
            metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
            feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
            driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
            yield cls(driver, url)
        finally:
            driver.quit()

    # ------------------------------------------------------------------- use

    def go(self, path: str = "/") -> None:
        self.driver.get(self.url + path)

    def sign_in(self, key: str) -> None:
        self.go()
        self.type("#key", key)
        self.click("#signin button")

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

    def says(self, text: str, seconds: float = WAIT_SECONDS) -> str:
        """What is shown, once `text` is in it."""
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

    def note_pauses(self) -> None:
        """From now on `pauses` knows for how long the page waits between what it does."""
        self.driver.execute_script(
            """
            window.pauses = [];
            const plain = window.setTimeout;
            window.setTimeout = (go, milliseconds, ...more) => {
              pauses.push(milliseconds);
              return plain(go, milliseconds, ...more);
            };
            """
        )

    def pauses(self) -> list[float]:
        """In seconds."""
        return [milliseconds / 1000 for milliseconds in self.driver.execute_script("return pauses")]

    def hold(self, part: str) -> None:
        """What the page asks for at an address with `part` in it waits for `release`, or until the page is loaded."""
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
        """How many requests wait."""
        return int(self.driver.execute_script("return held.length"))

    def release(self) -> None:
        self.driver.execute_script("window.fetch = plain; held.splice(0).forEach((go) => go())")

    # --------------------------------------------------------------- look at

    def complaints(self) -> list[str]:
        """What stands in the console as an error or a warning."""
        return [e["message"] for e in self.driver.get_log("browser") if e["level"] in ("SEVERE", "WARNING")]

    def asked(self) -> list[str]:
        """The address of every request that the page made."""
        found = []
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                found.append(message["params"]["request"]["url"])
        return found

    def barriers(self) -> list[str]:
        """What axe-core finds serious or worse."""
        self.driver.execute_script(AXE.read_text())
        found = self.driver.execute_async_script(
            "const done = arguments[0];"
            "axe.run(document, {resultTypes: ['violations']}).then((found) => done(found.violations))"
        )
        return [
            f"{v['id']}: {v['help']}: {[node['html'] for node in v['nodes']][:3]}"
            for v in found
            if v["impact"] in ("serious", "critical")
        ]

    def picture(self, *, whole: bool = False) -> bytes:
        arguments: dict[str, Any] = {}
        if whole:
            size = self.driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
            clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 3000), "scale": 1}
            arguments = {"captureBeyondViewport": True, "clip": clip}
        return base64.b64decode(self.driver.execute_cdp_cmd("Page.captureScreenshot", arguments)["data"])

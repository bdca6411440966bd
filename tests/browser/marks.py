"""python -m tests.browser.marks: measures a first load with round trips of 150 ms, and a minute of polling.

Bytes are counted as transferred, with headers. Chromium itself measures the largest paint and the layout shift.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

from local.seed import ACCOUNT, ADMIN_KEY, INGEST_KEY, seed
from local.stack import Stack
from tests.browser.chromium import DESKTOP, PHONE, Browser
from tests.browser.planted import outcomes
from tests.browser.showcase import play
from tests.end_to_end.shop import Shop

ROUND_TRIP_MILLISECONDS = 150
POLLS_A_MINUTE = 6  # app.js polls every ten seconds
_MARKS = """
window.marks = {paint: 0, shift: 0, figures: null};
new PerformanceObserver((list) => { for (const one of list.getEntries()) marks.paint = one.startTime; })
  .observe({type: "largest-contentful-paint", buffered: true});
new PerformanceObserver((list) => {
  for (const one of list.getEntries()) if (!one.hadRecentInput) marks.shift += one.value;
}).observe({type: "layout-shift", buffered: true});
new MutationObserver(() => { if (document.querySelector(".kpi-value")) marks.figures ??= performance.now(); })
  .observe(document, {childList: true, subtree: true});
"""


class Load(NamedTuple):
    """`bytes` and `files` are those of the page's own files. `requests_for_data`: sent before the first figures were
    shown. `largest_paint` and `figures`: seconds until the largest paint and the first figures. `shift`: Chromium's
    score of layout shifts."""

    bytes: int
    files: int
    requests_for_data: int
    largest_paint: float
    figures: float
    shift: float


def first_load(url: str, key: str, size: tuple[int, int] = DESKTOP) -> Load:
    """Measures a load of Overview in a tab that is signed in, with an empty cache."""
    with Browser.open(url, size) as browser:
        browser.sign_in(key)
        browser.wait_until_loaded()
        cdp = browser.driver.execute_cdp_cmd
        cdp("Page.enable", {})
        cdp("Page.addScriptToEvaluateOnNewDocument", {"source": _MARKS})
        cdp("Network.enable", {})
        cdp("Network.clearBrowserCache", {})
        line = {"offline": False, "latency": ROUND_TRIP_MILLISECONDS, "downloadThroughput": -1, "uploadThroughput": -1}
        cdp("Network.emulateNetworkConditions", line)
        browser.traffic()  # drops the events of signing in
        browser.go("/?again")
        browser.until(lambda: browser.driver.execute_script("return marks.figures"), "no figures are shown")
        browser.wait_until_loaded()
        time.sleep(1)
        paint, shift, figures, begun = browser.driver.execute_script(
            "return [marks.paint, marks.shift, marks.figures,"
            " performance.getEntriesByType('resource').map((one) => [one.name, one.startTime])]"
        )
        data = [name for name, at in begun if ("/v1/" in name or "/v3/" in name) and at < figures]
        own = [size for name, size in _sizes(browser) if "/page/" in name or name.endswith("/?again")]
        return Load(sum(own), len(own), len(data), paint / 1000, figures / 1000, shift)


def bytes_of_a_minute(shop: Shop, view: str, *, events: int) -> int:
    """Bytes that a view transfers in a minute of polling, while `events` rejected requests arrive."""
    with Browser.open(shop.stack.url) as browser:
        browser.sign_in(shop.admin_key)
        browser.go(f"/#/{view}")
        browser.wait_until_loaded()
        browser.poll_fast()
        _bytes_of_a_poll(browser)  # not counted, since the first poll has no ETag
        total = 0
        for number in range(POLLS_A_MINUTE):
            if number < events:
                outcomes(shop, [f"N-{number}"], "rejected")
            total += _bytes_of_a_poll(browser)
        return total


def _bytes_of_a_poll(browser: Browser) -> int:
    """The bytes transferred until a poll ends, which is with the request for the number of dead letters."""
    total, ended = 0, False
    end = time.monotonic() + 120
    while not ended:
        assert time.monotonic() < end, "the page does not poll"
        for name, size in _sizes(browser):
            total += size
            ended = ended or name.endswith("/v1/deadletters/count")
        time.sleep(0.05)
    return total


def _sizes(browser: Browser) -> Iterator[tuple[str, int]]:
    """(URL, transferred bytes) of each answer."""
    for entry in browser.traffic("Network.requestWillBeSent", "Network.loadingFinished"):
        if entry["method"] == "Network.requestWillBeSent":
            browser.urls[entry["requestId"]] = entry["request"]["url"]
        elif entry["requestId"] in browser.urls:
            yield browser.urls[entry["requestId"]], int(entry["encodedDataLength"])


def main() -> None:
    with Stack() as stack:
        seed(stack)
        shop = Shop(stack, ACCOUNT, INGEST_KEY, ADMIN_KEY)
        play(shop)
        for name, size in (("1440 px", DESKTOP), ("390 px", PHONE)):
            print(f"first load, {name}: {first_load(stack.url, shop.admin_key, size)}", flush=True)
        for view in ("", "requests", "orders", "deadletters"):
            quiet, lively = (bytes_of_a_minute(shop, view, events=events) for events in (0, POLLS_A_MINUTE))
            print(
                f"a minute of #/{view}: {quiet} bytes if nothing happens, {lively} with a change at each poll",
                flush=True,
            )


if __name__ == "__main__":
    main()

"""python -m tests.browser.screenshots [--all FOLDER] [PICTURES]: takes pictures of the page with a made-up shop.

Writes the pictures of the docs to the folder PICTURES (default: docs/pictures), and with --all every view at 390, 820
and 1440 px, light and dark, to FOLDER.
"""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from local.seed import ADMIN_KEY, seed
from local.stack import ROOT, Stack
from tests.browser.chromium import DESKTOP, PHONE, TABLET, Browser
from tests.browser.planted import dead_letter
from tests.browser.showcase import play, with_retries
from tests.end_to_end.shop import Shop

_SETTINGS = {
    "name": "Harbor & Pine", "time_zone": "America/New_York",
    "segments": [{"name": "Best", "min_lifetime_value": "1500"}, {"name": "Repeat", "min_orders": 2},
                 {"name": "Lapsed", "min_orders": 2, "min_days": 30}],
}  # fmt: skip


def prepare(stack: Stack) -> tuple[Shop, dict[str, str]]:
    """Fills a shop. Returns it, and the path of each view by its name."""
    seed(stack)
    shop = Shop(stack, "1234567", "local-ingest-key", ADMIN_KEY)
    assert shop.send("PATCH", "/v1/account", _SETTINGS).status == 200
    play(shop)
    # Waits for the fully refunded order of showcase.py: orders reach the book a moment later.
    end = time.monotonic() + 120
    while len(_get(shop, "/v1/orders?name=5001001")["orders"]) == 0 and time.monotonic() < end:
        time.sleep(1)
    event = {"provider": "shopify", "email": "ava.whitfield.0@example.com", "currency": "USD", "action": "placed",
             "occurred_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}  # fmt: skip
    item = {"product_id": "HP-JKT-101", "name": "Ridgeline Down Jacket, Moss / M", "price": "198.00", "quantity": 1}
    dead_letter(shop, event | {"order_id": "5001470", "grand_total": "212.36", "items": [item]})
    dead_letter(shop, event | {"order_id": "5001471", "grand_total": "98.61"})
    partly_refunded = next(
        order for order in _get(shop, "/v1/orders?status=refunded&limit=200")["orders"] if order["net"] != "0.00"
    )
    order = urlencode({"provider": partly_refunded["provider"], "id": partly_refunded["order_id"]})
    person = _get(shop, f"/v3/{shop.account}/people?limit=1")["people"][0]["id"]
    return shop, {
        "overview": "/#/", "orders": "/#/orders", "order-partly-refunded": f"/#/order?{order}",
        "order-fully-refunded": "/#/order?provider=shopify&id=5001001", "customers": "/#/customers",
        "customer": f"/#/customer?id={person}", "requests": "/#/requests", "deadletters": "/#/deadletters",
        "audiences": "/#/audiences", "connections": "/#/connections", "settings": "/#/settings",
    }  # fmt: skip


def _get(shop: Shop, path: str) -> Any:
    """The JSON of an answer. A request that gets 503 is sent again."""
    return with_retries(lambda: shop.send("GET", path), 200).json


def main(pictures: Path, every_view: Path | None) -> None:
    with Stack() as stack:
        shop, views = prepare(stack)
        for name, (view, size, dark) in {
            "overview": ("overview", DESKTOP, False), "order": ("order-partly-refunded", DESKTOP, False),
            "customers": ("customers", DESKTOP, False), "phone": ("overview", PHONE, True),
        }.items():  # fmt: skip
            with Browser.open(stack.url, size, dark=dark) as browser:
                browser.sign_in(shop.admin_key)
                _save(browser, pictures / f"{name}.png", views[view], whole=False)
        if every_view is None:
            return
        for width, size in (("390", PHONE), ("820", TABLET), ("1440", DESKTOP)):
            for dark in (False, True):
                with Browser.open(stack.url, size, dark=dark) as browser:
                    browser.sign_in(shop.admin_key)
                    for view, path in views.items():
                        name = f"{width}-{'dark' if dark else 'light'}-{view}.png"
                        _save(browser, every_view / name, path, whole=True)


def _save(browser: Browser, path: Path, address: str, *, whole: bool) -> None:
    browser.go(address)
    browser.wait_until_loaded()
    browser.find(".count")  # the number of dead letters is read a moment later
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(browser.picture(whole=whole))
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m tests.browser.screenshots")
    parser.add_argument("pictures", nargs="?", type=Path, default=ROOT / "docs" / "pictures")
    parser.add_argument("--all", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    main(options.pictures, options.all)

"""python -m tests.browser.screenshots [--all] [FOLDER]: the page with a day of a made-up shop, as docs/ shows it."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path
from typing import Any

from local.seed import ADMIN_KEY, seed
from local.stack import ROOT, Stack
from tests.browser.chromium import DESKTOP, PHONE, Browser
from tests.end_to_end.shop import Shop

SEED = 7


def play(shop: Shop) -> str:
    """Orders of both APIs, some that do not count; returns the e-mail of who ordered most."""
    chance = random.Random(SEED)
    people = [f"{name}@example.com" for name in ("ann", "ben", "cem", "dua", "eli")]
    for n in range(24):
        email, promo = chance.choice(people), chance.choice(["SPRING20", "WELCOME", None])
        total = f"{chance.randint(900, 18000) / 100:.2f}"
        if n % 2:
            metadata: dict[str, Any] = {"new_buyer": n < 10} | ({"promo_code": promo} if promo else {})
            address = {"address_1": f"{n} Main St", "postal_code": f"{10001 + n}"}
            shop.submit(
                {"order_id": f"W-{1000 + n}", "order_date": "2026-11-20", "total": total, "customer_email": email,
                 "shipping_address": address, "metadata": metadata}
            )  # fmt: skip
        else:
            shop.applied(_event(email, f"A-{n}", "placed", f"2026-11-{n // 2 + 1:02d}T10:00:00Z", grand_total=total))
    ann = people[0]
    shop.applied(_event(ann, "A-77", "placed", "2026-11-18T09:00:00Z", grand_total=100))
    shop.applied(_event(ann, "A-77", "refunded", "2026-11-20T12:00:00Z", refund_amount=30))
    shop.applied(_event(ann, "A-77", "updated", "2026-11-18T15:00:00Z", grand_total=105))
    again = _event(ann, "A-78", "placed", "2026-11-21T10:00:00Z", grand_total="48.90")
    shop.applied(again)
    shop.outcome(shop.order(again).json["request_id"])
    shop.submit({"order_id": "W-2001", "order_date": "soon", "total": "eleven", "customer_email": ann})
    shop.order({"provider": "My Shop", "action": "bought", "order_id": "A-90"})
    return ann


def _event(email: str, order_id: str, action: str, occurred_at: str, **more: Any) -> dict[str, Any]:
    return {
        "provider": "my_shop", "email": email, "action": action, "order_id": order_id, "occurred_at": occurred_at,
    } | more  # fmt: skip


def main(folder: Path, *, all_views: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with Stack() as stack:
        seed(stack)
        shop = Shop(stack, "1234567", "local-ingest-key", ADMIN_KEY)
        person = shop.send("GET", shop.person_path(play(shop))).json["id"]
        looks = (("transactions", DESKTOP, False), ("dark", DESKTOP, True), ("phone", PHONE, False))
        for name, size, dark in looks if all_views else looks[:1]:
            with Browser.open(stack.url, size, dark=dark) as browser:
                browser.sign_in(ADMIN_KEY)
                browser.says("W-2001")
                time.sleep(4)  # until the newest row is no longer marked
                _keep(folder / f"{name}.png", browser.picture())
                for view, path in (
                    () if not all_views else (("order", "/#/order/A-77"), ("person", f"/#/person/{person}"))
                ):
                    browser.go(path)
                    browser.find("figure")
                    _keep(folder / f"{name}-{view}.png", browser.picture(whole=True))


def _keep(path: Path, picture: bytes) -> None:
    path.write_bytes(picture)
    print(f"{path}: {len(picture) / 1000:.0f} kB", flush=True)


if __name__ == "__main__":
    names = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    main(Path(names[0]) if names else ROOT / "docs" / "pictures", all_views="--all" in sys.argv)

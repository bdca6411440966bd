"""Generates a file of mailings and the orders that followed them, with the known result of their attribution."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from tillbook.rules.identity import email_sha256

WINDOW = 60
JANUARY, MARCH = date(2026, 1, 5), date(2026, 3, 2)
COST = {"January": "0.50", "March": "0.75"}


@dataclass
class Mailing:
    """`rows`: those of the file. `v1`: bodies of orders. `v3`: events. `expected`: values of the report by campaign."""

    rows: list[dict[str, str]] = field(default_factory=list)
    v1: list[dict[str, Any]] = field(default_factory=list)
    v3: list[dict[str, Any]] = field(default_factory=list)
    expected: dict[str, dict[str, Any]] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(self.rows[0]))
            writer.writeheader()
            writer.writerows(self.rows)


class _Generator:
    """Adds rows and orders to a mailing. `email_of` returns the e-mail address for a name."""

    def __init__(self, seed: int, email_of: Callable[[str], str]) -> None:
        self.chance, self.mailing, self.email_of = random.Random(seed), Mailing(), email_of
        self._numbers = iter(range(10_000))

    def _person(self, number: int) -> dict[str, str]:
        """The columns of a row that identify the person: a postal address, an e-mail address or its hash."""
        email, kind = self.email_of(f"p{number}"), number % 3
        address = {"Address 1": f"{number} Oak Street", "City": "Salem", "State": "OR", "ZIP": "97301"}
        return {
            "Email": email if kind == 1 else "",
            "Email SHA256": email_sha256(email).upper() if kind == 2 else "",
            **{name: value if kind == 0 else "" for name, value in address.items()},
        }

    def add_row(self, campaign: str, day: date, number: int, *, held_out: bool) -> None:
        self.mailing.rows.append(
            {"Campaign": campaign, "Mail date": f"{day:%m/%d/%Y}", "Cost": COST[campaign],
             "Holdout": "yes" if held_out else "no"} | self._person(number)
        )  # fmt: skip

    def order(self, number: int, day: date, total: int, *, refunded: int = 0, new: bool = False) -> None:
        """Adds an order of a person.

        If the person's row has a postal address, the order is sent through v1 with that address only; otherwise through
        v1 or v3, with the e-mail address. v1 has no refunds, so `refunded` is subtracted from the total there.
        """
        order_id, email = f"m-{next(self._numbers)}", self.email_of(f"p{number}")
        if number % 3 == 0 or self.chance.random() < 0.3:
            body: dict[str, Any] = {"order_id": order_id, "order_date": day.isoformat(), "total": total}
            if number % 3 == 0:
                # Another spelling of the same address, as a shop writes it.
                address = {
                    "address_1": f"{number} OAK ST.",
                    "postal_code": "97301-1234",
                    "city": "Salem",
                    "state": "OR",
                }
                body |= {"shipping_address": address | {"name": "X"}, "billing_address": address | {"name": "X"}}
            else:
                body |= {"customer_email": email}
            self.mailing.v1.append(body | {"total": total - refunded, "metadata": {"new_buyer": new}})
            return
        event = {"provider": "shop", "order_id": order_id, "email": email}
        placed = {"action": "placed", "grand_total": total, "occurred_at": f"{day}T15:00:00Z", "new_buyer": new}
        self.mailing.v3.append(event | placed)
        if refunded:
            refund = {"action": "refunded", "refund_amount": refunded, "occurred_at": f"{day}T18:00:00Z"}
            self.mailing.v3.append(event | refund)


def generated(seed: int, email_of: Callable[[str], str]) -> Mailing:
    """100 people of January's mailing (30 of them held out) and 80 of March's (20 held out); 20 are in both."""
    generator = _Generator(seed, email_of)
    chance, mailing, add_row, order = generator.chance, generator.mailing, generator.add_row, generator.order
    for number in range(100):
        add_row("January", JANUARY, number, held_out=number >= 70)
    for number in (*range(50, 70), *range(100, 160)):
        add_row("March", MARCH, number, held_out=number >= 140)
    chance.shuffle(mailing.rows)
    for number in range(12):  # people who order after January's mailing, two of them twice
        order(number, JANUARY + timedelta(days=chance.randrange(50)), 40, new=number < 5)
        if number < 2:
            order(number, JANUARY + timedelta(days=WINDOW), 10, refunded=4)
    for number in range(12, 15):  # people who order too late and too early
        order(number, JANUARY + timedelta(days=WINDOW + 1), 500)
        order(number, JANUARY - timedelta(days=1), 500)
    for number in range(50, 55):  # people in both mailings, who order the day before March's mailing and on its day
        order(number, MARCH - timedelta(days=1), 20)
        order(number, MARCH, 30, new=True)
    for number in range(100, 103):  # people who order on the last day of March's window
        order(number, MARCH + timedelta(days=WINDOW), 25)
    for number in (70, 71, 72, 140):  # held-out people
        order(number, MARCH + timedelta(days=1), 60)
    for number in range(200, 205):  # people in no mailing
        order(number, MARCH, 999)
    mailing.expected = deepcopy(_EXPECTED)
    return mailing


# January: 12 people, two of them with a second order of 10 less 4, and 5 people who are in both mailings. March: the
# same 5 people, and 3 others. The cost is that of all mailed pieces; roas is the revenue divided by it: 592 / 35 in
# January, 225 / 45 in March.
_EXPECTED: dict[str, dict[str, Any]] = {
    "January": {
        "mailed": 70, "people": 12 + 5, "orders": 12 + 2 + 5, "response_rate": "0.2429", "new_buyers": 5,
        "revenue": {"USD": f"{12 * 40 + 2 * 6 + 5 * 20}.00"}, "cost": f"{70 * 0.5:.2f}",
        "cost_per_order": f"{35 / 19:.2f}", "roas": f"{592 / 35:.2f}",
    },
    "March": {
        "mailed": 60, "people": 5 + 3, "orders": 5 + 3, "response_rate": "0.1333", "new_buyers": 5,
        "revenue": {"USD": f"{5 * 30 + 3 * 25}.00"}, "cost": f"{60 * 0.75:.2f}",
        "cost_per_order": "5.62", "roas": f"{225 / 45:.2f}",  # 45 / 8 is 5.625, rounded to even
    },
}  # fmt: skip

# The numbers of mailed and of held-out people who ordered within the window of each campaign. Here an order after both
# mailings counts for both campaigns.
ORDERED = {"January": (12 + 5, 3), "March": (5 + 3, 1)}

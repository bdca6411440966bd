"""`tillbook attribute`, `orders`, `people` and `segments` on the whole stack, with a mailing whose result is known."""

from __future__ import annotations

import csv
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cli.tillbook_cli.attribution import Lift
from local.stack import Stack
from tests.cli.conftest import Ran
from tests.cli.mailing import ORDERED, WINDOW, Mailing, generated
from tests.cli.test_look import run
from tests.end_to_end.shop import Shop
from tillbook.rules.segments import Segment

pytestmark = pytest.mark.stack
SEED = 7


@dataclass(frozen=True)
class Mailed:
    """Runs `tillbook` for an account that has the orders of a generated mailing. `file` is the file of the mailing."""

    shop: Shop
    mailing: Mailing
    file: Path

    def __call__(self, *words: str) -> Ran:
        return run(*words, "--url", self.shop.stack.url, "--key", self.shop.admin_key)


@pytest.fixture(scope="module")
def mailed(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Mailed:
    shop = Shop.open(stack, segments=(Segment("Twice", min_orders=2),))
    mailing = generated(SEED, shop.email)
    for body in mailing.v1:
        assert shop.submit(body).status == 201
    statuses = shop.outcomes(shop.batch(mailing.v3).json["request_ids"])
    assert set(statuses) == {"applied"}
    count = len(mailing.v1) + len({event["order_id"] for event in mailing.v3})
    end = time.monotonic() + 120
    # The book, from which orders are listed, is updated a moment later.
    while len(shop.send("GET", "/v1/orders?limit=200").json["orders"]) < count:
        assert time.monotonic() < end
        time.sleep(0.2)
    file = tmp_path_factory.mktemp("mailing") / "mailing.csv"
    mailing.write(file)
    return Mailed(shop, mailing, file)


def test_attribute_reports_the_known_result_of_a_mailing(mailed: Mailed, tmp_path: Path) -> None:
    matches = tmp_path / "matches.csv"
    words = ("attribute", str(mailed.file), "--window", str(WINDOW), "--date-format", "us", "--matches", str(matches))
    found = mailed(*words, "--json")
    assert found.code == 0, found.err
    campaigns = {entry["campaign"]: entry for entry in found.json["campaigns"]}
    assert list(campaigns) == ["January", "March"]
    for name, expected in mailed.mailing.expected.items():
        assert {key: campaigns[name][key] for key in expected} == expected
        lift = campaigns[name]["lift"]
        mailed_ordered, held_out_ordered = ORDERED[name]
        low, high = Lift(expected["mailed"], mailed_ordered, lift["held_out"], held_out_ordered).interval
        assert lift["interval"] == [f"{low:.4f}", f"{high:.4f}"]
        assert lift["more_than_chance"] is (low > 0 or high < 0)
    assert (campaigns["January"]["lift"]["held_out"], campaigns["March"]["lift"]["held_out"]) == (30, 20)
    rows = list(csv.DictReader(matches.open(newline="", encoding="utf-8")))
    assert sum(row["counts"] == "true" for row in rows) == 19 + 8  # the orders of both campaigns
    assert {row["group"] for row in rows} == {"mailed", "holdout"}
    assert all(0 <= int(row["days"]) <= WINDOW for row in rows)
    assert "@" not in matches.read_text("utf-8")


def test_attribute_prints_a_table(mailed: Mailed) -> None:
    found = mailed("attribute", str(mailed.file), "--window", str(WINDOW), "--date-format", "us")
    assert found.code == 0, found.err
    assert "January   70      17      19      24.29 %" in found.out
    assert "January: 24.29 % of 70 mailed ordered, 10.00 % of 30 held out" in found.out


def test_unreadable_rows_stop_attribute_unless_skip_bad_is_given(mailed: Mailed, tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("date,email\n2026-01-01,ann@example.com\nsoon,ben@example.com\n", "utf-8")
    found = mailed("attribute", str(bad))
    assert found.code == 1
    assert "line 3, date: must be a date" in found.err
    assert "example.com" not in found.err
    found = mailed("attribute", str(bad), "--skip-bad", "--json")
    assert found.code == 0
    # Without a column for the campaign, the name of the file is its name.
    assert [(entry["campaign"], entry["mailed"]) for entry in found.json["campaigns"]] == [("bad", 1)]
    assert found.json["campaigns"][0]["cost"] is None


def test_orders_are_found_and_exported(mailed: Mailed, tmp_path: Path) -> None:
    assert mailed("orders", "M-0").out.splitlines()[1].startswith("m-0")
    assert mailed("orders", "nothing").err == "There are none.\n"
    found = mailed("orders", "--from", "2026-03-01", "--min-total", "60", "--json").json
    # Orders after the window of January, of held-out people, and of people in no mailing.
    assert {entry["total"] for entry in found} == {"500.00", "60.00", "999.00"}
    whole, page = (
        mailed("orders", "--format", "jsonl").out.splitlines(),
        mailed("orders", "--json", "--limit", "500").json,
    )
    assert [json.loads(line)["order_id"] for line in whole] == [entry["order_id"] for entry in page]
    target = tmp_path / "orders.csv"
    assert mailed("orders", "--output", str(target), "--limit", "30").code == 0
    assert len(list(csv.DictReader(target.open(newline="", encoding="utf-8")))) == 30


def test_people_and_segments_are_listed(mailed: Mailed, tmp_path: Path) -> None:
    found: list[dict[str, Any]] = mailed("people", "--segment", "twice", "--json").json
    assert {person["orders_count"] for person in found} == {2}
    assert mailed("segments", "--json").json["segments"][0]["people"] == len(found)
    assert mailed("segments").out.splitlines()[1].startswith("Twice")
    target = tmp_path / "people.csv"
    assert mailed("people", "--format", "csv", "--output", str(target)).code == 0
    values = [float(row["lifetime_value"]) for row in csv.DictReader(target.open(newline="", encoding="utf-8"))]
    assert values == sorted(values, reverse=True)
    assert len(mailed("people", "--format", "jsonl").out.splitlines()) == len(values)
    assert mailed("people", "--segment", "nobody").code == 1

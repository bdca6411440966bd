"""Bug reports about other software, reproduced with Tillbook, and orders and exports as real platforms write them.

A docstring names the reports of its test by project and issue number on GitHub. All values are made up (reported.py).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from events.bodies import SHOPIFY_SIGNING_KEY
from local.deploy import STACK
from local.stack import ROOT, Stack
from tests.end_to_end import reported
from tests.end_to_end.shop import Reply, Shop
from tests.platforms.sender import signed
from tillbook.aws.secrets import Secrets
from tillbook.records.connections import Connections

pytestmark = pytest.mark.stack

V1, V3 = "customers-orders-api", "customers-shopper-activity"  # ids of audiences
_IMPORT_SECONDS = 120


@dataclass
class Seller:
    """A shop that has connected its platforms. `secrets`: the signing key of each."""

    shop: Shop
    folder: Path
    secrets: dict[str, str]

    def email(self, name: str) -> str:
        return self.shop.email(name)

    # ---------------------------------------------------------------- send

    def activity(self, name: str, action: str = "placed", **fields: Any) -> Reply:
        """Sends an event of the order `name`. If it is accepted, waits until it is applied."""
        shape = {"provider": "bug_shop", "action": action, "order_id": name, "occurred_at": "2026-01-17T20:50:00Z"}
        reply = self.shop.order(shape | fields)
        if reply.status == 202:
            assert self.shop.outcome(reply.json["request_id"])["status"] == "applied"
        return reply

    def webhook(self, platform: str, topic: str, body: Any) -> Reply:
        sent = signed(platform, self.secrets[platform], topic, body)
        return self.deliver(platform, sent.body, sent.headers)

    def deliver(self, platform: str, body: bytes, headers: dict[str, str]) -> Reply:
        return self.shop.send("POST", f"/connect/{self.shop.account}/{platform}", body, key="", headers=headers)

    def run_import(self, text: str, *options: str, name: str = "orders.csv") -> subprocess.CompletedProcess[str]:
        path = self.folder / name
        path.write_text(text)
        environment = os.environ | {"TILLBOOK_URL": self.shop.stack.url, "TILLBOOK_KEY": self.shop.admin_key}
        return subprocess.run(
            [sys.executable, "-m", "cli", "import", str(path), *options], cwd=ROOT, env=environment, check=False,
            capture_output=True, text=True, timeout=_IMPORT_SECONDS,
        )  # fmt: skip

    # ---------------------------------------------------------------- read

    def worth(self, name: str) -> tuple[dict[str, str], int] | None:
        """(LTV by currency, number of orders) of a person; None for an unknown person."""
        reply = self.shop.send("GET", self.shop.person_path(self.email(name)))
        return (reply.json["lifetime_value"], reply.json["orders_count"]) if reply.status == 200 else None

    def expect_worth(self, name: str, money: dict[str, str], orders: int) -> None:
        """Waits until the person has this LTV by currency and number of orders, and asserts it."""
        eventually(lambda: self.worth(name) == (money, orders))
        assert self.worth(name) == (money, orders)

    def are_customers(self, audience: str, *people: dict[str, Any]) -> list[bool]:
        reply = self.shop.send("POST", f"/v1/audience/{audience}/match", {"people": list(people)})
        assert reply.status == 200, reply.text
        return [result["customer"] for result in reply.json["results"]]

    def same_address(self, shipping: dict[str, Any], other: dict[str, Any]) -> bool:
        """Whether an order with this shipping address makes a customer of the other address."""
        order = {"order_id": "address", "order_date": "2026-01-17", "total": 1, "shipping_address": shipping}
        assert self.shop.submit(order).status == 201
        eventually(lambda: self.are_customers(V1, {"address": shipping}) == [True])
        return self.are_customers(V1, {"address": other})[0]


def eventually(done: Callable[[], bool], seconds: float = 60) -> None:
    """Waits until `done()` is true, or the seconds are over."""
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        time.sleep(0.1)


@pytest.fixture
def seller(stack: Stack, tmp_path: Path) -> Seller:
    shop = Shop.open(stack)
    vault = Secrets(stack.boto3_client("ssm"), STACK)
    connections = Connections(stack.boto3_client("dynamodb"), stack.outputs["RecordsTableName"], vault)
    _, woocommerce_secret = connections.create(shop.account, "woocommerce", "woocommerce")
    connections.create(shop.account, "shopify", "shopify", entered=SHOPIFY_SIGNING_KEY)
    return Seller(shop, tmp_path, {"woocommerce": woocommerce_secret, "shopify": SHOPIFY_SIGNING_KEY})


def woocommerce_order(seller: Seller, number: int, name: str, status: str) -> dict[str, Any]:
    return {
        "id": 7200 + number, "number": str(number), "status": status, "currency": "USD", "total": "30.00",
        "date_created_gmt": "2026-01-17T20:50:00", "date_modified_gmt": "2026-01-17T20:52:10", "customer_id": 0,
        "billing": {"first_name": "Ann", "email": seller.email(name), "postcode": "10843", "country": "US"},
        "shipping": {"first_name": "", "address_1": "", "postcode": "", "country": ""},
        "line_items": [{"id": 315, "name": "Mug", "product_id": 93, "variation_id": 0, "quantity": 3, "price": 10,
                        "total": "30.00"}],
        "refunds": [],
    }  # fmt: skip


# ------------------------------------------------------------------------- orders


def test_guests_whose_user_id_is_0_are_different_people(seller: Seller) -> None:
    """woocommerce-admin#1476, woocommerce#14575."""
    for name in ("x", "y"):
        seller.activity(name, person_id=0, email=seller.email(name), grand_total=10, currency="USD")
    assert [seller.worth(name) for name in ("x", "y")] == [({"USD": "10.00"}, 1)] * 2
    assert seller.shop.send("GET", seller.shop.person_path("0")).status == 404


@pytest.mark.parametrize("status", ["checkout-draft", "pending"])
def test_an_abandoned_checkout_is_no_order(seller: Seller, status: str) -> None:
    """woocommerce#66995, #37958: order.updated is delivered for it. The second order shows that deliveries work."""
    abandoned = woocommerce_order(seller, 1, "abandoned", status)
    paid = woocommerce_order(seller, 2, "paid", "processing")
    for order in (abandoned, paid):
        assert seller.webhook("woocommerce", "order.updated", order).status == 200
    seller.expect_worth("paid", {"USD": "30.00"}, 1)
    assert seller.worth("abandoned") is None
    people = [{"email": seller.email(name)} for name in ("abandoned", "paid")]
    assert seller.are_customers(V3, *people) == [False, True]


def test_a_ping_is_answered_with_200(seller: Seller) -> None:
    """woocommerce#15642, #60886: an unsigned form, sent when a webhook is saved. WooCommerce expects 200."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert seller.deliver("woocommerce", b"webhook_id=7", form).status == 200


@pytest.mark.parametrize("address", ["blank", {}, {"address_1": None, "postal_code": None}], ids=str)
def test_an_order_with_a_blank_shipping_address_counts(seller: Seller, address: Any) -> None:
    """woocommerce#14364, mollie/WooCommerce#94: orders of virtual goods have a shipping address of blank fields."""
    fields = ("name", "company", "address_1", "address_2", "city", "state", "postal_code", "country")
    address = dict.fromkeys(fields, "") if address == "blank" else address
    order = {"order_id": "virtual", "order_date": "2026-01-17", "total": 19, "customer_email": seller.email("v1")}
    assert seller.shop.submit(order | {"shipping_address": address}).status == 201
    seller.activity("v", email=seller.email("v3"), grand_total=19, currency="USD", shipping_address=address)
    assert [seller.worth(name) for name in ("v1", "v3")] == [({"USD": "19.00"}, 1)] * 2


def test_puerto_rico_matches_as_a_country_and_as_a_state(seller: Seller) -> None:
    """woocommerce#22687, #26412."""
    address = {"address_1": "1234 Calle Luna", "postal_code": "00901", "city": "San Juan"}
    assert seller.same_address(address | {"country": "PR"}, address | {"state": "PR", "country": "US"})


def test_a_zip_code_without_its_leading_zero_matches(seller: Seller) -> None:
    """s2member#1148, geojson.io#324, prime-reportstream#3202: a spreadsheet made 2139 of 02139."""
    address = {"address_1": "1235 Main St", "city": "Cambridge", "state": "MA"}
    assert seller.same_address(address | {"postal_code": "02139"}, address | {"postal_code": "2139"})


def test_an_email_with_an_invisible_character_is_the_same_person(seller: Seller) -> None:
    """validator.js#940, cerb#1349, mail#1173: pasted addresses carry U+200B, U+FEFF and the like."""
    whole = seller.email("ann")
    pasted = ("\u200b" + whole, whole + "\u200b", "\ufeff" + whole, whole.replace("@", "\u200d@"))
    for number, email in enumerate((whole, *pasted)):
        total = 10 if email == whole else 1
        assert seller.activity(f"o{number}", email=email, grand_total=total, currency="USD").status == 202
    assert seller.worth("ann") == ({"USD": "14.00"}, 5)  # 10 + 4 * 1


def test_a_total_with_eight_decimals_is_rounded_to_four(seller: Seller) -> None:
    """mc-woocommerce#1291: the total is a gross price without its tax, which has eight decimals."""
    reply = seller.activity("tax", email=seller.email("ann"), grand_total=4766.11570248, currency="CZK")
    assert seller.worth("ann") == ({"CZK": "4766.1157"}, 1)
    assert "rounded" in str(seller.shop.outcome(reply.json["request_id"])["notes"])


def test_an_order_to_kosovo_is_accepted(seller: Seller) -> None:
    """saleor#18716, adyen-magento2#2009: XK was refused."""
    address = {"address_1": "1 Rruga B", "postal_code": "10000", "city": "Prishtina", "country": "XK"}
    order = {"order_id": "xk", "order_date": "2026-01-17", "total": 7, "customer_email": seller.email("ann")}
    assert seller.shop.submit(order | {"shipping_address": address}).status == 201


def test_a_refund_does_not_change_the_date_of_the_last_order(seller: Seller) -> None:
    """PrestaShop#19708: orders were dated by their last change of status."""
    ann = {"email": seller.email("ann"), "currency": "USD"}
    seller.activity("old", grand_total=10, **ann | {"occurred_at": "2025-01-01T10:00:00Z"})
    seller.activity("young", grand_total=10, **ann | {"occurred_at": "2025-06-01T10:00:00Z"})
    seller.activity("old", "refunded", refund_amount=10, **ann | {"occurred_at": "2026-02-01T10:00:00Z"})
    assert seller.shop.person(seller.email("ann"))["last_order_at"] == "2025-06-01T10:00:00Z"


# -------------------------------------------------------------------------- files


def test_a_file_without_a_known_column_for_the_total_is_refused_unless_an_option_names_it(seller: Seller) -> None:
    """pmpro-import-users-from-csv#61: orders were imported with a total of 0."""
    header = "Order ID,Customer Email,Order Date,Order Status,Order Total (inc tax),Order Currency Code"
    row = f"6,{seller.email('ann')},2026-01-17,Completed,105.00,USD"
    ran = seller.run_import(f"{header}\n{row}\n", "--provider", "shop")
    assert (ran.returncode, seller.worth("ann")) == (1, None)
    ran = seller.run_import(f"{header}\n{row}\n", "--provider", "shop", "--column", "grand_total=Order Total (inc tax)")
    assert ran.returncode == 0, ran.stderr
    seller.expect_worth("ann", {"USD": "105.00"}, 1)


def test_the_separator_line_of_excel_is_skipped(seller: Seller) -> None:
    """fast-excel#327, PowerShell#7776, rainbow_csv#108."""
    text = f"sep=;\norder_id;email;occurred_at;grand_total\n11;{seller.email('ann')};2026-01-17;5.00\n"
    ran = seller.run_import(text, "--provider", "shop")
    assert ran.returncode == 0, ran.stderr
    seller.expect_worth("ann", {"USD": "5.00"}, 1)


def test_a_file_with_two_equal_refunds_on_one_day_is_refused(seller: Seller) -> None:
    """alphagov/pay-connector#434, vendure-plugins#611: two refunds were taken for one."""
    placed = f"12,{seller.email('ann')},2026-01-17,placed,,100.00,USD"
    refund = f"12,{seller.email('ann')},2026-01-18,refunded,10.00,,USD"
    header = "order_id,email,occurred_at,action,refund_amount,grand_total,currency"
    ran = seller.run_import("\n".join([header, placed, refund, refund, ""]), "--provider", "shop")
    assert ran.returncode == 1
    assert "repeats line" in ran.stderr
    assert seller.worth("ann") is None


def test_an_export_counts_orders_by_their_status(seller: Seller) -> None:
    """mc-magento2#274, mc-woocommerce#288, polar#6674: orders that were never paid were counted."""
    ran = seller.run_import(reported.import_export_suite(seller.email))
    assert ran.returncode == 0, ran.stderr
    seller.expect_worth("completed", {"USD": "105.00"}, 1)
    seller.expect_worth("on-hold", {"USD": "12.00"}, 1)
    counted = {status: seller.worth(status) for status in reported.STATUSES}
    money = {status: float(found[0].get("USD", 0)) if found else 0.0 for status, found in counted.items()}
    assert money == {status: float(left) for status, (_, left) in reported.STATUSES.items()}
    # Failed, pending and draft orders create no customer.
    assert [status for status, found in counted.items() if found is None] == ["failed", "pending", "checkout-draft"]


def test_a_shopify_export_is_imported(seller: Seller) -> None:
    text, expected = reported.shopify(seller.email)
    ran = seller.run_import(text)
    assert ran.returncode == 0, ran.stderr
    for name, (currency, money, orders) in expected.items():
        seller.expect_worth(name, {currency: money}, orders)
    address = {"address_1": "12 Main Street", "postal_code": "02139"}
    assert seller.are_customers(V3, {"address": address}) == [True]
    assert "Placed an order" in {entry["name"] for entry in seller.shop.activity(seller.email("sh1"))}


def test_an_order_with_a_phone_number_only_is_rejected_and_not_sent(seller: Seller) -> None:
    ran = seller.run_import(reported.shopify_phone_only())
    assert ran.returncode == 1
    assert "email" in (seller.folder / "orders.csv.rejects.csv").read_text()
    assert seller.shop.send("GET", "/v1/transactions").json["transactions"] == []


def test_an_advanced_order_export_is_imported(seller: Seller) -> None:
    ran = seller.run_import(reported.advanced_order_export(seller.email), "--time-zone", "America/New_York")
    assert ran.returncode == 0, ran.stderr
    seller.expect_worth("ao0", {"USD": "80.00"}, 1)  # 105 - 25
    assert seller.worth("ao1") is None


def test_a_shopify_webhook_is_applied(seller: Seller) -> None:
    body = reported.shopify_webhook(seller.email("ann"))
    assert seller.webhook("shopify", "orders/create", body).status == 200
    seller.expect_worth("ann", {"USD": "58.50"}, 1)
    order = seller.shop.order_v3("shopify", str(body["id"])).json
    assert [(item["name"], item["quantity"]) for item in order["items"]] == [("IPod case - green", 2), ("Gift wrap", 1)]
    assert seller.are_customers(V3, {"address": {"address_1": "12 Main St Apt 4", "postal_code": "12075"}}) == [True]
    assert {entry["name"] for entry in seller.shop.activity(seller.email("ann"))} == {
        "Placed an order",
        "Paid an order",
    }


MAGENTO = {
    "fields": {
        "order_id": ["increment_id"], "email": ["customer_email"], "occurred_at": ["created_at"],
        "grand_total": ["grand_total"], "refunded_amount": ["total_refunded"], "currency": ["order_currency_code"],
    },
    "billing_address": {"postal_code": ["billing_address.postcode"]},
    "time_zone": "UTC",
}  # fmt: skip
BIGCOMMERCE = {
    "fields": {
        "order_id": ["id"], "email": ["billing_address.email"], "occurred_at": ["date_created"],
        "grand_total": ["total_inc_tax"], "refunded_amount": ["refunded_amount"],
        "currency": ["default_currency_code"],
    },
    "billing_address": {
        "address_1": ["billing_address.street_1"], "postal_code": ["billing_address.zip"],
        "state": ["billing_address.state"], "country": ["billing_address.country_iso2"],
    },
    "dates": ["%a, %d %b %Y %H:%M:%S %z"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("make_order", "mapping", "expected"),
    [
        (reported.magento_order, MAGENTO, {"EUR": "80.01"}),  # 105 - 24.99
        (reported.bigcommerce_order, BIGCOMMERCE, {"USD": "84.00"}),
    ],
    ids=["magento", "bigcommerce"],
)
def test_orders_from_the_apis_of_other_platforms_are_imported(
    seller: Seller, make_order: Callable[[str], Any], mapping: Any, expected: dict[str, str]
) -> None:
    """JSON lines of platforms without a connector are imported with a mapping."""
    path = seller.folder / "mapping.json"
    path.write_text(json.dumps(mapping))
    text = json.dumps(make_order(seller.email("ann"))) + "\n"
    ran = seller.run_import(text, "--mapping", str(path), "--provider", "shop", name="orders.jsonl")
    assert ran.returncode == 0, ran.stderr
    seller.expect_worth("ann", expected, 1)

"""Orders that an import reads from platforms' exports. A body must not change, since it identifies the event."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.tillbook_cli import mappings, records
from cli.tillbook_cli.checking import Checked, checked
from cli.tillbook_cli.main import tillbook
from cli.tillbook_cli.rows import Place, Source
from local.stack import ROOT
from tests.cli import exports
from tests.cli.fake_api import KEY, serving
from tests.cli.importing import sent
from tillbook.rules.identity import email_sha256, payload_hash
from tillbook.rules.order import Event, fold

WOOCOMMERCE = """\
Order ID,Order Number,Order Date,Order Status,Order Total,Order Currency,Refunded Total,Billing Email,\
Billing First Name,Billing Last Name,Billing Address 1,Billing Postcode,Item Name,Item SKU,Item Cost,Quantity
71,1071,2024-07-05 10:00:00,wc-completed,30.00,EUR,0,ann@x.example,Ann,Lee,Hauptstr. 1,10115,Cup,C-1,10.00,3
72,1072,2024-01-05 10:00:00,Refunded,40,EUR,,ann@x.example,Ann,Lee,,,Cup,C-1,40.00,1
73,1073,2024-01-06 10:00:00,cancelled,40,EUR,0,ann@x.example,Ann,Lee,,,Cup,C-1,40.00,1
74,1074,2024-01-07 10:00:00,pending,40,EUR,0,ann@x.example,Ann,Lee,,,Cup,C-1,40.00,1
75,1075,2024-01-08 10:00:00,processing,60,EUR,12.5,ann@x.example,Ann,Lee,,,Cup,C-1,40.00,1
75,1075,2024-01-08 10:00:00,processing,60.00,EUR,12.50,ann@x.example,Ann,Lee,,,Plate,P-1,20.00,1
"""


def contributions(events: list[dict[str, Any]]) -> dict[str, str]:
    """The contribution of each order to lifetime value, computed by the ledger's `fold`."""
    by_order: dict[str, list[Event]] = {}
    for number, event in enumerate(events):
        total, refund = event.get("grand_total"), event.get("refund_amount", "0")
        by_order.setdefault(event["order_id"], []).append(
            Event(
                f"{event['occurred_at']}{number:04d}", event["action"], "p",
                None if total is None else Decimal(total), Decimal(refund),
            )
        )  # fmt: skip
    return {order_id: f"{fold(found).contribution:.2f}" for order_id, found in by_order.items()}


def test_the_export_of_shopify_is_converted(tmp_path: Path) -> None:
    events = sent(tmp_path, exports.shopify())
    assert events[0] == {
        "action": "placed", "provider": "shopify", "order_id": "55501", "order_public_id": "#1",
        "email": "ann@x.example", "occurred_at": "2024-01-05T15:22:33Z", "grand_total": "105.00",
        "total_discounts": "0.00", "total_taxes": "5.00", "currency": "USD", "promo_code": "MAY",
        "billing_address": {
            "first_name": "Ann", "last_name": "Lee", "address_1": "1 Main St", "postal_code": "01234", "country": "US",
        },
        "items": [
            {
                "product_id": "C-1", "sku": "C-1", "name": "Cup, blue", "price": "60.00", "quantity": "1",
                "discount": "0.00",
            },
            {"product_id": "Plate", "name": "Plate", "price": "20.00", "quantity": "2"},
        ],
    }  # fmt: skip
    assert contributions(events) == exports.SHOPIFY_CONTRIBUTIONS
    assert {event["action"] for event in events} == {"placed"}
    assert len(events) == len(exports.SHOPIFY_CONTRIBUTIONS)
    refunds_and_cancellations = {e["order_id"]: (e.get("refunded"), e.get("canceled_at")) for e in events}
    assert refunds_and_cancellations["55502"] == ("20.00", None)
    assert refunds_and_cancellations["55504"] == ("50.00", "2024-01-09T15:00:00Z")


def test_the_export_of_advanced_order_export_is_converted(tmp_path: Path) -> None:
    events = sent(tmp_path, exports.advanced_order_export(), time_zone="Europe/Berlin")
    assert contributions(events) == {"1201": "65.00", "1204": "12.00"}
    assert (events[0]["provider"], events[0]["email"], events[0]["occurred_at"]) == (
        "woocommerce", "ada@x.example", "2026-03-01T09:15:00Z",
    )  # fmt: skip
    assert [(item["name"], item["quantity"]) for item in events[0]["items"]] == [("Mug", "2"), ("Engraving", "2")]
    assert "currency" not in events[0]


def test_the_export_of_customer_order_export_is_converted(tmp_path: Path) -> None:
    events = sent(tmp_path, exports.customer_order_export(), time_zone="America/New_York")
    assert contributions(events) == {"1301": "65.00", "1303": "0.00", "1304": "0.00", "1305": "10.00"}
    assert (events[0]["order_id"], events[0]["order_public_id"], events[0]["currency"], events[0]["occurred_at"]) == (
        "1301", "2301", "EUR", "2026-07-01T14:15:00Z",
    )  # fmt: skip
    assert "person_id" not in events[0]


def test_the_export_of_import_export_suite_is_converted(tmp_path: Path) -> None:
    events = sent(tmp_path, exports.import_export_suite())
    assert contributions(events) == {"1": "80.00", "4": "0.00", "5": "0.00", "6": "12.00"}
    assert (events[0]["refunded"], events[0]["email"]) == ("25.00", "cy@x.example")


def test_the_export_of_magento_is_converted(tmp_path: Path) -> None:
    events = sent(tmp_path, exports.magento(), time_zone="Europe/Brussels")
    assert contributions(events) == {
        "000000001": "65.00",
        "000000002": "5.00",
        "000000003": "0.00",
        "000000005": "20.00",
    }
    # Magento's grid writes 24-hour times with AM or PM; its older versions write 12-hour times.
    assert [event["occurred_at"] for event in events] == [
        "2026-03-01T09:15:00Z", "2026-03-01T21:15:00Z", "2026-03-01T21:15:00Z", "2026-02-28T23:15:00Z",
    ]  # fmt: skip


def test_the_export_of_poplar_is_converted(tmp_path: Path) -> None:
    file = tmp_path / "export.csv"
    file.write_text(exports.poplar())
    ran = CliRunner().invoke(tillbook, ["import", str(file), "--check", "--json"])
    assert ran.exit_code == 0, ran.output
    assert (json.loads(ran.stdout)["api"], json.loads(ran.stdout)["mapping"]) == ("v1", "poplar")
    cy, di = sent(tmp_path, exports.poplar(), "v1")
    assert cy == {
        "order_id": "P-1", "order_date": "2026-03-01T00:00:00Z", "total": "85.00", "customer_email": "cy@x.example",
        "customer_id": "c-1",
        "billing_address": {
            "name": "Cy Muster", "address_1": "1 Main St", "city": "Austin", "state": "TX", "postal_code": "78751",
        },
    }  # fmt: skip
    assert (di["total"], di["customer_email_sha256"]) == ("15.00", email_sha256("di@x.example"))
    assert "customer_email" not in di
    ran = CliRunner().invoke(tillbook, ["import", str(file), "--check", "--api", "v3", "--provider", "x"])
    assert ran.exit_code == 1
    assert "only the Orders API accepts the hash of an address: --api v1" in ran.stderr


def test_analytics_of_woocommerce_is_refused_with_the_reason(tmp_path: Path) -> None:
    file = tmp_path / "export.csv"
    file.write_text(exports.analytics())
    ran = CliRunner().invoke(tillbook, ["import", str(file), "--check"])
    assert ran.exit_code == 1
    assert "Analytics > Orders: it has no e-mail addresses" in ran.stderr


EXPORTS = {
    "shopify": exports.shopify, "advanced": exports.advanced_order_export,
    "customer_order": exports.customer_order_export, "suite": exports.import_export_suite, "magento": exports.magento,
}  # fmt: skip


@pytest.mark.parametrize("name", EXPORTS)
def test_both_apis_count_the_same_amounts(tmp_path: Path, name: str) -> None:
    v1 = {order["order_id"]: order["total"] for order in sent(tmp_path, EXPORTS[name](), "v1")}
    assert v1 == contributions(sent(tmp_path, EXPORTS[name]()))


@pytest.mark.parametrize("name", EXPORTS)
def test_an_export_is_recognised_and_the_sum_of_its_orders_is_printed(tmp_path: Path, name: str) -> None:
    file = tmp_path / "export.csv"
    file.write_text(EXPORTS[name]())
    ran = CliRunner().invoke(tillbook, ["import", str(file), "--check"])
    assert ran.exit_code == 0, ran.output
    total = sum(map(float, contributions(sent(tmp_path, EXPORTS[name]())).values()))
    assert f"Sum of all orders, net of refunds: {total:,.2f}" in ran.stderr


def test_an_export_of_woocommerce_with_a_row_for_each_item_is_converted(tmp_path: Path) -> None:
    events = sent(tmp_path, WOOCOMMERCE, time_zone="Europe/Berlin")
    assert events[0] == {
        "action": "placed", "provider": "woocommerce", "order_id": "71", "order_public_id": "1071",
        "email": "ann@x.example", "occurred_at": "2024-07-05T08:00:00Z", "grand_total": "30.00", "currency": "EUR",
        "billing_address": {
            "first_name": "Ann", "last_name": "Lee", "address_1": "Hauptstr. 1", "postal_code": "10115",
        },
        "items": [{"product_id": "C-1", "sku": "C-1", "name": "Cup", "price": "10.00", "quantity": "3"}],
    }  # fmt: skip
    assert contributions(events) == {"71": "30.00", "72": "0.00", "73": "0.00", "75": "47.50"}
    assert len(events[-1]["items"]) == 2


def test_the_identities_of_imported_events_do_not_change(tmp_path: Path) -> None:
    """If a hash changed, importing a file again would add a second event to each of its orders."""
    assert [payload_hash(event) for event in sent(tmp_path, exports.shopify())[:3]] == [
        "nANo7HH2BhUx6qLKiOqYpw", "fbJ0DTsgC3tMnnL3X3j_Xw", "I3jkgWi1dw-vFLagPT6jag",
    ]  # fmt: skip


def test_a_later_export_and_webhooks_of_the_same_order_count_once(tmp_path: Path) -> None:
    """The newer export is received after the older one, and the webhook before, between or after them."""
    # The order of 85.00 has refunds of 20.00 in the older export, of 45.00 in the newer one.
    older = sent(tmp_path, exports.customer_order_export())[0]
    newer = sent(tmp_path, exports.customer_order_export().replace("85.00,20.00", "85.00,45.00"))[0]
    webhook = older | {"action": "updated", "occurred_at": "2026-07-20T00:00:00Z", "grand_total": "30.00"}
    assert contributions([older, newer]) == {"1301": "40.00"}
    assert payload_hash(older) != payload_hash(newer)
    for events in ([older, newer, webhook], [webhook, older, newer], [older, webhook, newer]):
        assert contributions(events) == {"1301": "30.00"}


def test_an_export_with_as_of_overrides_earlier_webhooks(tmp_path: Path) -> None:
    """A refund whose webhook was lost counts only with --as-of: otherwise an earlier webhook overrides the export."""
    file = tmp_path / "export.csv"
    file.write_text(exports.customer_order_export())
    at = "2026-07-10T12:00Z"
    with serving() as api:
        words = ["import", str(file), "--url", api.url, "--key", KEY, "--as-of", at]
        ran = CliRunner().invoke(tillbook, words)
        assert ran.exit_code == 0, ran.output
    marker, state = api.events[:2]
    assert marker == {
        "action": "placed", "provider": "woocommerce", "order_id": "1301", "email": "bo@x.example", "currency": "EUR",
        "occurred_at": "2026-07-01T10:15:00Z",
    }  # fmt: skip
    assert (state["action"], state["occurred_at"], state["grand_total"]) == ("updated", "2026-07-10T12:00:00Z", "65.00")
    # Webhooks before the lost one, and after the export.
    before = state | {"occurred_at": "2026-07-02T00:00:00Z", "grand_total": "85.00"}
    after = state | {"occurred_at": "2026-07-11T00:00:00Z", "grand_total": "0.00"}
    without_as_of = sent(tmp_path, exports.customer_order_export())[0]
    for events, contribution in (
        ([before, without_as_of], "85.00"),
        ([before, marker, state], "65.00"),
        ([after, marker, state], "0.00"),
    ):
        assert contributions(events) == contributions(events[::-1]) == {"1301": contribution}
    assert len(api.identities) == len(api.events) == 2 * len(contributions(api.events))


def test_a_bad_row_of_an_export_with_as_of_is_reported_once(tmp_path: Path) -> None:
    """Each row makes two events, which have the same errors."""
    file = tmp_path / "export.csv"
    file.write_text(exports.customer_order_export().replace("bo@x.example", "bo at x"))
    words = ["import", str(file), "--check", "--as-of", "2026-07-10T12:00Z", "--json"]
    ran = CliRunner().invoke(tillbook, words)
    found = json.loads(ran.stdout)
    lines = Path(found["rejects"]).read_text().splitlines()[1:]
    assert len(lines) == found["rejected"] > 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--as-of", "2999-01-01"], "is not a time in the past"),
        (["--as-of", "last week"], "is not a time in the past"),
        (["--as-of", "2026-07-10T12:00Z", "--api", "v1"], "an order of v1, or an event, has its own time"),
    ],
)
def test_an_invalid_as_of_is_refused(tmp_path: Path, options: list[str], said: str) -> None:
    file = tmp_path / "export.csv"
    file.write_text(exports.customer_order_export())
    ran = CliRunner().invoke(tillbook, ["import", str(file), "--check", *options])
    assert (ran.exit_code, said in ran.stderr) == (1, True)


def test_a_second_total_within_an_order_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "export.csv"
    file.write_text(WOOCOMMERCE.replace("75,1075,2024-01-08 10:00:00,processing,60.00", "75,1075,,,61.00"))
    ran = CliRunner().invoke(tillbook, ["import", str(file), "--check"])
    assert ran.exit_code == 1
    rejects = (tmp_path / "export.csv.rejects.csv").read_text()
    assert '7,,,"grand_total differs from line 6, which is of the same order"' in rejects


def test_orders_next_to_an_unreadable_row_are_not_sent(tmp_path: Path) -> None:
    """The unreadable row may belong to either order. If an order were sent without it, v1 would
    answer 409 once the row is corrected, since the order then has other content.
    """
    header, *rows = WOOCOMMERCE.splitlines()
    order_71, order_75 = rows[0], rows[-1]
    bad = order_75.replace(",Plate,", ',"Pl"ate,')
    file = tmp_path / "export.csv"
    for lines, rejected, good in (
        ([order_75, bad, order_75, order_71], {2, 3, 4}, ["71"]),  # within an order
        ([order_71, order_75, order_75, bad], {3, 5}, ["71"]),  # at the end of an order
        ([order_71, bad, order_75, order_75], {2, 3, 4}, []),  # between two orders
        ([bad, bad, order_75, order_75, order_71], {2, 3, 4}, ["71"]),  # before an order
        ([order_71, order_75, bad, "75,1075", bad], {3, 4, 5, 6}, ["71"]),  # also with a row of two cells only
    ):
        file.write_text("\n".join([header, *lines]) + "\n")
        for version in ("v1", "v3"):
            with Source(file) as source:

                def read(place: Place | None, source: Source = source, version: str = version) -> list[Checked]:
                    mapping = mappings.resolved(mappings.preset("woocommerce"), source.columns)
                    return list(checked(records.entries(source.rows(place), mapping), version, mapping, ""))

                orders = read(None)
                assert {reject.line for order in orders for reject in order.rejects} == rejected
                assert [json.loads(body)["order_id"] for order in orders for body in order.bodies] == good
                # An import that resumes after any order finds the remaining ones unchanged.
                for number, order in enumerate(orders):
                    assert read(order.end) == orders[number + 1 :]


def test_columns_that_are_not_sent_are_reported(tmp_path: Path) -> None:
    file = tmp_path / "export.csv"
    file.write_text("order_id,email,occurred_at,grand_total,Notes,a@x.example\n")
    said = CliRunner().invoke(tillbook, ["import", str(file), "--check", "--provider", "my_shop"]).stderr
    assert "The columns are read by the mapping plain. Not sent: Notes, (an e-mail address)." in said


def test_a_saved_mapping_sends_the_same_events_as_its_preset(tmp_path: Path) -> None:
    file, saved = tmp_path / "export.csv", tmp_path / "mapping.json"
    whole = sent(tmp_path, exports.shopify())
    for options in (["--save-mapping", str(saved)], ["--mapping", str(saved), "--save-mapping", f"{saved}.2"]):
        assert CliRunner().invoke(tillbook, ["import", str(file), "--check", *options]).exit_code == 0
    assert saved.read_text() == (tmp_path / "mapping.json.2").read_text()
    mapping = mappings.load(saved)
    assert mapping.fields["order_id"] == ["Id"]
    assert "total_fees" not in mapping.fields  # the file has no such column
    with Source(file) as source:
        orders = checked(records.entries(source.rows(), mapping), "v3", mapping, "")
        assert [json.loads(body) for order in orders for body in order.bodies] == whole


def test_the_mapping_in_the_docs_works(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "import.md").read_text()
    (tmp_path / "mapping.json").write_text(text.partition("```json\n")[2].partition("```")[0])
    file = tmp_path / "orders.csv"
    file.write_text(
        "number,Invoice mail,MAIL,Bought on,Sum,Given back,State,Article,Article name,Unit price,Pieces\n"
        "1,a@x.example,,01.07.2024 10:00,15,,ok,A,Cup,5,1\n1,,,,,,,B,Plate,10,1\n"
        "2,a@x.example,,2024-07-01 10:00,15,,STORNO,A,Cup,15,1\n"
    )
    mapping = mappings.load(tmp_path / "mapping.json")
    with Source(file) as source:
        found = records.entries(source.rows(), mappings.resolved(mapping, source.columns))
        events = [json.loads(body) for order in checked(found, "v3", mapping, "") for body in order.bodies]
    assert contributions(events) == {"1": "15.00", "2": "0.00"}
    assert (events[0]["occurred_at"], len(events[0]["items"]), events[0]["currency"]) == (
        "2024-07-01T08:00:00Z", 2, "EUR",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ("[", "is not JSON"),
        ("[]", "A mapping is a JSON object"),
        ("{}", "A mapping needs fields"),
        ('{"fields": {"order_id": "Id"}}', "fields must give each field a list of columns"),
        ('{"fields": {}, "colums": {}}', "A mapping has no colums"),
        ('{"fields": {}, "statuses": {"x": "lost"}}', "A status means one of"),
        ('{"fields": {}, "time_zone": "Mars/Olympus"}', "There is no time zone Mars/Olympus"),
    ],
)
def test_invalid_mapping_files_are_refused(tmp_path: Path, shape: str, said: str) -> None:
    (tmp_path / "export.csv").write_text(exports.shopify())
    (tmp_path / "mapping.json").write_text(shape)
    words = ["import", str(tmp_path / "export.csv"), "--check", "--mapping", str(tmp_path / "mapping.json")]
    ran = CliRunner().invoke(tillbook, words)
    assert ran.exit_code == 1
    assert said in ran.stderr


def test_rows_with_an_action_are_sent_as_events(tmp_path: Path) -> None:
    rows = [
        "order_id,email,action,occurred_at,grand_total,refund_amount,provider",
        "1,a@x.example,placed,2024-01-01,10,,my_shop",
        "1,a@x.example,refunded,2024-01-02,,4,my_shop",
    ]
    events = sent(tmp_path, "\n".join(rows) + "\n")
    assert [event["action"] for event in events] == ["placed", "refunded"]
    assert contributions(events) == {"1": "6.00"}

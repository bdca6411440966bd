"""What is made of the exports of Shopify and WooCommerce. What is sent for a row is its identity: frozen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.tillbook_cli import mappings
from cli.tillbook_cli.checking import Checked, checked
from cli.tillbook_cli.main import tillbook
from cli.tillbook_cli.rows import Place, Source
from local.stack import ROOT
from tillbook.rules.identity import payload_hash
from tillbook.rules.order import Event, fold

SHOPIFY = """\
Name,Email,Financial Status,Currency,Total,Taxes,Created at,Lineitem quantity,Lineitem name,Lineitem price,\
Lineitem sku,Billing Name,Billing Address1,Billing Zip,\
Cancelled at,Refunded Amount,Id
#1,ann@x.example,paid,USD,105.00,5.00,2024-01-05 10:22:33 -0500,1,"Cup, blue",\
60.00,C-1,Ann Lee,1 Main St,'01234,,0.00,555
#1,ann@x.example,,,,,,2,Plate,20.00,,,,,,,
#2,bob@x.example,partially_refunded,USD,50.00,0,2024-01-06 10:22:33 -0500,1,Cup,50.00,C-1,,,,,20.00,556
#3,bob@x.example,voided,USD,50.00,0,2024-01-07 10:22:33 -0500,1,Cup,50.00,C-1,,,,,0.00,557
#4,bob@x.example,refunded,USD,50.00,0,2024-01-08 10:22:33 -0500,1,Cup,50.00,C-1,,,,2024-01-09 10:00:00 -0500,50.00,558
#5,bob@x.example,pending,USD,50.00,0,2024-01-09 10:22:33 -0500,1,Cup,50.00,C-1,,,,2024-01-10 10:00:00 -0500,0.00,559
#6,bob@x.example,paid,USD,50.00,0,2024-01-10 10:22:33 -0500,1,Cup,50.00,C-1,,,,2024-01-11 10:00:00 -0500,0.00,560
#7,bob@x.example,refunded,USD,50.00,0,2024-01-11 10:22:33 -0500,1,Cup,50.00,C-1,,,,,,
"""
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


def sent(folder: Path, text: str, version: str = "v3", **options: Any) -> list[dict[str, Any]]:
    file = folder / "export.csv"
    file.write_text(text)
    with Source(file) as source:
        mapping = mappings.resolved(mappings.guessed(source.columns), source.columns)
        if "time_zone" in options:
            mapping = mappings.in_zone(mapping, options["time_zone"])
        orders = list(checked(mappings.entries(source.rows(), mapping), version, mapping, ""))
    assert [order.rejects for order in orders if order.rejects] == []
    return [json.loads(body) for order in orders for body in order.bodies]


def worth(events: list[dict[str, Any]]) -> dict[str, str]:
    """What each order counts, by the rules of the ledger itself."""
    from decimal import Decimal

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


def test_shopify(tmp_path: Path) -> None:
    events = sent(tmp_path, SHOPIFY)
    assert events[0] == {
        "action": "placed", "provider": "shopify", "order_id": "555", "order_public_id": "#1", "email": "ann@x.example",
        "occurred_at": "2024-01-05T15:22:33Z", "grand_total": "105.00", "total_taxes": "5.00", "currency": "USD",
        "billing_address": {
            "first_name": "Ann", "last_name": "Lee", "address_1": "1 Main St", "postal_code": "01234",
        },
        "items": [
            {"product_id": "C-1", "sku": "C-1", "name": "Cup, blue", "price": "60.00", "quantity": "1"},
            {"product_id": "Plate", "name": "Plate", "price": "20.00", "quantity": "2"},
        ],
    }  # fmt: skip
    told = [(e["order_id"], e["action"], e["occurred_at"], e.get("refund_amount")) for e in events[1:]]
    assert [line for line in told if line[1] != "placed"] == [
        ("556", "refunded", "2024-01-06T15:22:34Z", "20.00"),
        ("557", "canceled", "2024-01-07T15:22:34Z", "50.00"),
        ("558", "refunded", "2024-01-09T15:00:00Z", "50.00"),
        ("558", "canceled", "2024-01-09T15:00:00Z", None),
        ("559", "canceled", "2024-01-10T15:00:00Z", "50.00"),
        ("560", "canceled", "2024-01-11T15:00:00Z", None),
        ("#7", "refunded", "2024-01-11T15:22:34Z", "50.00"),
    ]
    assert worth(events) == {
        "555": "105.00", "556": "30.00", "557": "0.00", "558": "0.00", "559": "0.00", "560": "50.00", "#7": "0.00",
    }  # fmt: skip


def test_both_apis_count_the_same(tmp_path: Path) -> None:
    for text in (SHOPIFY, WOOCOMMERCE):
        v1 = {order["order_id"]: order["total"] for order in sent(tmp_path, text, "v1")}
        assert v1 == worth(sent(tmp_path, text))


def test_woocommerce(tmp_path: Path) -> None:
    events = sent(tmp_path, WOOCOMMERCE, time_zone="Europe/Berlin")
    assert events[0] == {
        "action": "placed", "provider": "woocommerce", "order_id": "71", "order_public_id": "1071",
        "email": "ann@x.example", "occurred_at": "2024-07-05T08:00:00Z", "grand_total": "30.00", "currency": "EUR",
        "billing_address": {
            "first_name": "Ann", "last_name": "Lee", "address_1": "Hauptstr. 1", "postal_code": "10115",
        },
        "items": [{"product_id": "C-1", "sku": "C-1", "name": "Cup", "price": "10.00", "quantity": "3"}],
    }  # fmt: skip
    assert worth(events) == {"71": "30.00", "72": "0.00", "73": "0.00", "75": "47.50"}
    assert len(events[-2]["items"]) == 2


def test_identities_are_frozen(tmp_path: Path) -> None:
    """Another hash counts the refunds of each file that was ever imported a second time."""
    assert [payload_hash(event) for event in sent(tmp_path, SHOPIFY)[:3]] == [
        "aIutklgVf4-B2x9TUfvxZA", "yJBuPAXla-M7mGFX1wBARQ", "B8M_j16bYMyivkI9rrepmQ",
    ]  # fmt: skip


def test_a_second_total_within_an_order_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "export.csv"
    file.write_text(WOOCOMMERCE.replace("75,1075,2024-01-08 10:00:00,processing,60.00", "75,1075,,,61.00"))
    ran = CliRunner().invoke(tillbook, ["import", str(file), "--check"])
    assert ran.exit_code == 1
    rejects = (tmp_path / "export.csv.rejects.csv").read_text()
    assert '7,,,"grand_total is another than in line 6, of the same order"' in rejects


def test_an_order_beside_a_row_that_cannot_be_read_is_not_sent_by_halves(tmp_path: Path) -> None:
    """The row may be an item of either: what went without it could not be mended, v1 answers 409 to the whole one."""
    header, *rows = WOOCOMMERCE.splitlines()
    one, last = rows[0], rows[-1]
    bad = last.replace(",Plate,", ',"Pl"ate,')
    file = tmp_path / "export.csv"
    for lines, told, good in (
        ([last, bad, last, one], {2, 3, 4}, ["71"]),  # within
        ([one, last, last, bad], {3, 5}, ["71"]),  # at its end
        ([one, bad, last, last], {2, 3, 4}, []),  # between two orders, of which either may be its own
        ([bad, bad, last, last, one], {2, 3, 4}, ["71"]),
        ([one, last, bad, "75,1075", bad], {3, 4, 5, 6}, ["71"]),
    ):  # fmt: skip
        file.write_text("\n".join([header, *lines]) + "\n")
        for version in ("v1", "v3"):
            with Source(file) as source:

                def read(place: Place | None, source: Source = source, version: str = version) -> list[Checked]:
                    mapping = mappings.resolved(mappings.preset("woocommerce"), source.columns)
                    return list(checked(mappings.entries(source.rows(place), mapping), version, mapping, ""))

                orders = read(None)
                assert {reject.line for order in orders for reject in order.rejects} == told
                assert [json.loads(body)["order_id"] for order in orders for body in order.bodies] == good
                # Whoever goes on behind any of them finds the same.
                for number, order in enumerate(orders):
                    assert read(order.end) == orders[number + 1 :]


def test_what_is_not_sent_is_told(tmp_path: Path) -> None:
    file = tmp_path / "export.csv"
    file.write_text("order_id,email,occurred_at,grand_total,Notes,a@x.example\n")
    said = CliRunner().invoke(tillbook, ["import", str(file), "--check", "--provider", "my_shop"]).stderr
    assert "Columns are read as plain has them. Not sent: Notes, (an e-mail address)." in said


def test_a_saved_mapping_does_what_the_preset_did(tmp_path: Path) -> None:
    file, saved = tmp_path / "export.csv", tmp_path / "mapping.json"
    whole = sent(tmp_path, SHOPIFY)
    for options in (["--save-mapping", str(saved)], ["--mapping", str(saved), "--save-mapping", f"{saved}.2"]):
        assert CliRunner().invoke(tillbook, ["import", str(file), "--check", *options]).exit_code == 0
    assert saved.read_text() == (tmp_path / "mapping.json.2").read_text()
    mapping = mappings.load(saved)
    assert mapping.fields["order_id"] == ["Id", "Name"]
    assert "total_shipping" not in mapping.fields  # the file has no such column
    with Source(file) as source:
        orders = checked(mappings.entries(source.rows(), mapping), "v3", mapping, "")
        assert [json.loads(body) for order in orders for body in order.bodies] == whole


def test_the_mapping_in_the_docs_works(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "import.md").read_text()
    (tmp_path / "mapping.json").write_text(text.partition("```json\n")[2].partition("```")[0])
    file = tmp_path / "orders.csv"
    file.write_text(
        "number,Invoice mail,MAIL,Bought on,Sum,Given back,State,Article,Article name,Unit price,Pieces\n"
        "1,a@x.example,,2024-07-01 10:00,15,,ok,A,Cup,5,1\n1,,,,,,,B,Plate,10,1\n"
        "2,a@x.example,,2024-07-01 10:00,15,,STORNO,A,Cup,15,1\n"
    )
    mapping = mappings.load(tmp_path / "mapping.json")
    with Source(file) as source:
        found = mappings.entries(source.rows(), mappings.resolved(mapping, source.columns))
        events = [json.loads(body) for order in checked(found, "v3", mapping, "") for body in order.bodies]
    assert worth(events) == {"1": "15.00", "2": "0.00"}
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
def test_wrong_mappings(tmp_path: Path, shape: str, said: str) -> None:
    (tmp_path / "export.csv").write_text(SHOPIFY)
    (tmp_path / "mapping.json").write_text(shape)
    words = ["import", str(tmp_path / "export.csv"), "--check", "--mapping", str(tmp_path / "mapping.json")]
    ran = CliRunner().invoke(tillbook, words)
    assert ran.exit_code == 1
    assert said in ran.stderr


def test_rows_that_are_events_already(tmp_path: Path) -> None:
    rows = [
        "order_id,email,action,occurred_at,grand_total,refund_amount,provider",
        "1,a@x.example,placed,2024-01-01,10,,my_shop",
        "1,a@x.example,refunded,2024-01-02,,4,my_shop",
    ]
    events = sent(tmp_path, "\n".join(rows) + "\n")
    assert [event["action"] for event in events] == ["placed", "refunded"]
    assert worth(events) == {"1": "6.00"}

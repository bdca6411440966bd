"""`tillbook import` refuses files whose amounts would be wrong although each row is valid, and names a remedy.

Later tests check which rows belong to one order, and what the messages contain.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli.tillbook_cli import findings
from tests.cli.fake_api import serving
from tests.cli.file_imports import PLAIN, imported, refused, run


def test_a_file_without_an_amount_column_is_refused(file: Path) -> None:
    text = "Order ID,Customer Email,Order Date,Order Total (inc tax)\n1,a@x.example,2026-01-17,105.00\n"
    refused(file, text, "No column is grand_total")
    refused(file, text, "The file has Order ID, Customer Email, Order Date, Order Total (inc tax).", "--api", "v1")
    assert imported(file, text, "--column", "grand_total=Order Total (inc tax)")[0]["grand_total"] == "105.00"
    assert "grand_total" not in imported(file, text, "--no-amounts")[0]


@pytest.mark.parametrize("version", ["v1", "v3"])
def test_a_row_without_an_amount_is_refused(file: Path, version: str) -> None:
    text = f"{PLAIN}\n1,a@x.example,2026-01-17,,USD\n2,a@x.example,2026-01-17,0,USD\n"
    ran = run(file, text, "--provider", "s", "--api", version)
    assert ran.exit_code == 1
    assert "orders without amounts need --no-amounts" in ran.stderr
    assert len(imported(file, text, "--api", version, "--no-amounts")) == 2


@pytest.mark.parametrize("version", ["v1", "v3"])
def test_json_lines_without_amounts_are_refused(lines: Path, version: str) -> None:
    order: dict[str, Any] = {"provider": "s", "order_id": "1", "customer_email": "a@x.example", "email": "a@x.example"}
    order |= {"occurred_at": "2026-01-17", "order_date": "2026-01-17", "amount": 5}  # no field has this name
    ran = run(lines, json.dumps(order), "--api", version)
    assert ran.exit_code == 1
    assert "orders without amounts need --no-amounts" in ran.stderr
    assert run(lines, json.dumps(order), "--api", version, "--no-amounts").exit_code == 0
    # A line with an action is an event, which may lack an amount; a file in which no event has one is refused.
    refused(lines, json.dumps(order | {"action": "placed"}), "None of the orders has an amount", "--api", "v3")


def test_unknown_status_words_are_refused(file: Path) -> None:
    rows = [
        f"{n},a@x.example,2026-01-17,10,{word}" for n, word in enumerate(["Completed", "Storniert", "offen", "offen"])
    ]
    text = "\n".join(["order_id,email,date,total,status", *rows])
    refused(file, text, "Unknown status words: offen (2), Storniert (1).")
    given = ["--status", "STORNIERT=unpaid", "--status", "offen=skip"]
    events = imported(file, text, *given)
    assert [(event["order_id"], event["grand_total"]) for event in events] == [("0", "10.00"), ("1", "0.00")]
    assert run(file, text, "--status", "offen=lost").exit_code == 1
    assert run(file, text, "--status", "offen").exit_code == 2


@pytest.mark.parametrize("word", ["pending", "on-hold", "unpaid", "new", "Awaiting Payment"])
def test_ambiguous_status_words_are_refused_if_the_platform_is_unknown(file: Path, word: str) -> None:
    refused(file, f"order_id,email,date,total,status\n1,a@x.example,2026-01-17,10,{word}\n", f"{word} (1)")


@pytest.mark.parametrize(
    ("word", "amount"),
    [
        ("cancelled", "0.00"), ("Canceled", "0.00"), ("refunded", "0.00"), ("voided", "0.00"),
        ("expired", "0.00"), ("paid", "7.00"), ("Completed", "7.00"), ("partially_refunded", "7.00"), ("", "7.00"),
        ("placed", "7.00"),
    ],
)  # fmt: skip
def test_status_words_with_one_meaning_on_all_platforms_are_known(file: Path, word: str, amount: str) -> None:
    text = f"order_id,email,date,total,refunded_total,status\n1,a@x.example,2026-01-17,10,3,{word}\n"
    assert imported(file, text)[0]["grand_total"] == amount


@pytest.mark.parametrize("word", ["checkout-draft", "draft", "Pending payment", "Failed", "declined"])
def test_rows_whose_status_means_no_order_are_skipped(file: Path, word: str) -> None:
    rows = f"1,a@x.example,2026-01-17,10,{word}\n2,a@x.example,2026-01-17,10,paid\n"
    text = f"order_id,email,date,total,status\n{rows}"
    assert [e["order_id"] for e in imported(file, text)] == ["2"]
    assert (
        f'{word} (1). If such an order was counted earlier, --status "{word}=unpaid"'
        in run(file, text, "--provider", "s").stderr
    )
    assert [e["grand_total"] for e in imported(file, text, "--status", f"{word}=unpaid")] == ["0.00", "10.00"]


def test_a_cancellation_date_without_a_status_cancels_an_order(file: Path) -> None:
    rows = "1,a@x.example,2026-01-17,10,2026-01-18\n2,a@x.example,2026-01-17,10,\n"
    events = imported(file, f"order_id,email,date,total,cancelled_at\n{rows}")
    assert [event["grand_total"] for event in events] == ["0.00", "10.00"]


@pytest.mark.parametrize("column", ["Refund", "Total refunds", "Chargeback", "Credit memo total", "Rückerstattung"])
def test_an_unread_column_that_sounds_like_refunds_is_refused(file: Path, column: str) -> None:
    text = f"{PLAIN},{column}\n1,a@x.example,2026-01-17,10,USD,0.00\n2,a@x.example,2026-01-17,10,USD,4\n"
    refused(file, text, f"refunds or canceled orders: {column} (line 3)")
    events = imported(file, text, "--column", f"refunded_amount={column}")
    assert [event["grand_total"] for event in events] == ["10.00", "6.00"]
    assert all("refund_amount" not in event for event in events)
    assert len(imported(file, text, "--ignore", column.upper())) == 2
    assert len(imported(file, text.replace(",4\n", ",\n"))) == 2  # without a refund, the column is not read


def test_a_column_given_to_one_field_is_removed_from_others(file: Path) -> None:
    text = f"{PLAIN},Refund Amount\n1,a@x.example,2026-01-17,10,USD,4\n"
    assert "needs an action (refunded) in the row" in run(file, text, "--provider", "s").stderr
    (event,) = imported(file, text, "--column", "refunded_amount=Refund Amount")
    assert (event["grand_total"], event["refunded"], event.get("refund_amount")) == ("6.00", "4.00", None)


def test_unread_refunds_in_json_are_refused(lines: Path) -> None:
    order = {"provider": "s", "order_id": "1", "email": "a@x.example", "occurred_at": "2026-01-17", "grand_total": 10}
    for more in ({"refunded_amount": 4}, {"payment": {"amount_refunded": "4"}}, {"refunds": [{"amount": 4}]}):
        refused(lines, json.dumps(order | more), "may hold refunds or canceled orders")
    assert len(imported(lines, json.dumps(order | {"refunded_amount": 0, "refunds": []}))) == 1
    # An event with its own refund_amount may have other fields about the refund.
    event = order | {"action": "refunded", "refund_amount": 4, "refund_id": 7}
    assert len(imported(lines, json.dumps(event))) == 1


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("Order state", "Failed"), ("transaction_status", "REFUNDED"), ("State", "voided"), ("Cancelled?", "yes"),
        ("Cancel reason", "fraud"), ("Date canceled", "2026-01-18"),
    ],
)  # fmt: skip
def test_an_unread_column_that_suggests_canceled_or_failed_orders_is_refused(
    file: Path, column: str, value: str
) -> None:
    text = f"{PLAIN},{column}\n1,a@x.example,2026-01-17,10,USD,\n2,a@x.example,2026-01-17,10,USD,{value}\n"
    refused(file, text, f"refunds or canceled orders: {column} (line 3)")
    assert len(imported(file, text, "--ignore", column)) == 2
    # A harmless value: an empty cell in a column about cancellations, else CA, which may be the state California.
    harmless = "" if "ancel" in column else "CA"
    assert len(imported(file, text.replace(value, harmless))) == 2


def test_an_unread_status_in_json_that_suggests_a_failed_order_is_refused(lines: Path) -> None:
    order = {"provider": "s", "order_id": "1", "email": "a@x.example", "occurred_at": "2026-01-17", "grand_total": 10}
    refused(lines, json.dumps(order | {"status": "failed"}), "refunds or canceled orders: status (line 1)")
    assert len(imported(lines, json.dumps(order | {"status": "completed"}))) == 1


def test_a_check_shows_the_notes_that_the_api_would_return(file: Path) -> None:
    rows = "1,a@x.example,2026-01-17,placed,10.123456,5\n1,a@x.example,2026-01-18,refunded,,\n"
    said = run(file, f"order_id,email,occurred_at,action,grand_total,refund_amount\n{rows}", "--provider", "s").stderr
    # Notes that differ in their numbers only are counted together: the message has … for each number.
    for note in ("1 × grand_total was rounded to …", "1 × refund_amount on placed was ignored"):
        assert note in said
    assert "1 × refunded without refund_amount: LTV is unchanged" in said


def test_a_country_alone_is_not_an_address(file: Path) -> None:
    text = f"{PLAIN},shipping_country,shipping_first_name,billing_zip\n1,a@x.example,2026-01-17,10,USD,DE,Ann,10115\n"
    (event,) = imported(file, text)
    assert "shipping_address" not in event
    assert event["billing_address"] == {"postal_code": "10115"}


def test_column_names_that_suggest_refunds_or_cancellations_are_recognised() -> None:
    for name in (
        "Refunded Amount",
        "order_refund_amount",
        "Amount refunded",
        "creditmemo",
        "Returned amount",
        "Cancelled at",
    ):
        assert findings.sounds_like_loss(name), name
    for name in (
        "Refundable",
        "Cancelable",
        "Return policy",
        "Referrer",
        "credit_card",
        "Total",
        "Restored",  # contains stor, but not storn as in Storno, German for a cancellation
        "Savoir faire",  # contains avoir, French for a credit note
    ):
        assert not findings.sounds_like_loss(name), name


def test_several_rows_of_an_order_are_refused_without_group_by(file: Path) -> None:
    rows = ["1,a@x.example,2026-01-17,30,Mug", "1,a@x.example,2026-01-17,12,Tea", "2,a@x.example,2026-01-18,5,Tea"]
    text = "\n".join(["order_id,email,date,total,article", *rows])
    refused(file, text, "Orders repeated with other content: line 3 repeats line 2.")
    ran = run(file, text, "--provider", "s", "--group-by", "order_id")
    assert ran.exit_code == 1
    assert "grand_total differs from line 2, which is of the same order" in ran.stderr
    same = text.replace("17,12,", "17,30.00,")
    assert [e["grand_total"] for e in imported(file, same, "--group-by", "Order ID")] == ["30.00", "5.00"]
    # A row of another order separates the two rows.
    apart = (
        "order_id,email,date,total\n"
        "1,a@x.example,2026-01-17,30\n"
        "2,a@x.example,2026-01-18,5\n"
        "1,a@x.example,2026-01-17,12"
    )
    refused(file, apart, "Sort the file so that the rows of one order_id follow each other", "--group-by", "order_id")


def test_rows_with_item_columns_are_grouped_into_orders(file: Path) -> None:
    rows = ["1,a@x.example,2026-01-17,40,M,Mug,10,3,Kitchen", "1,a@x.example,2026-01-17,40,T,Tea,10,1,"]
    text = "\n".join(["order_id,email,date,total,sku,item_name,price,quantity,category", *rows])
    (event,) = imported(file, text)
    assert (event["grand_total"], [item["sku"] for item in event["items"]]) == ("40.00", ["M", "T"])
    assert event["items"][0]["categories"] == ["Kitchen"]
    (order,) = imported(file, text, "--api", "v1")
    assert order["order_items"][0] == {
        "identifier": "M", "description": "Mug", "quantity": "3", "price": "10", "total": "30.00",
        "category": "Kitchen",
    }  # fmt: skip


def test_equal_rows_are_reported_before_anything_is_sent(file: Path) -> None:
    row = "1,a@x.example,2026-01-18,refunded,10.00,,"
    text = "\n".join(["order_id,email,occurred_at,action,refund_amount,grand_total,refund_id",
                      "1,a@x.example,2026-01-17,placed,,100.00,", row, row])  # fmt: skip
    refused(file, text, "Repeated orders or events: line 4 repeats line 3.")
    assert "--ignore-repeats" in run(file, text, "--provider", "s").stderr
    assert len(imported(file, text, "--ignore-repeats")) == 3
    # Two different refunds are two events.
    assert [e.get("refund_id") for e in imported(file, text.replace(row, f"{row}R1", 1))] == [None, "R1", None]


def test_an_order_that_is_repeated_in_a_file_is_refused(file: Path) -> None:
    row = "1,a@x.example,2026-01-17,10,USD\n"
    refused(file, f"{PLAIN}\n{row}2,a@x.example,2026-01-17,10,USD\n{row}", "line 4 repeats line 2")
    with serving() as api:
        ran = run(file, f"{PLAIN}\n{row}{row}", "--provider", "s", "--ignore-repeats", "--json", api=api)
    assert (ran.exit_code, len(api.identities), json.loads(ran.stdout)["sent"]) == (0, 1, 2)
    for version in ("v1", "v3"):
        refused(file, f"{PLAIN}\n{row}{row.replace(',10,', ',11,')}", "with other content", "--api", version)


def test_equal_order_ids_of_different_providers_are_different_orders(file: Path) -> None:
    rows = "1,a@x.example,2026-01-17,10,USD,shop_a\n1,a@x.example,2026-01-17,11,USD,shop_b\n"
    with serving() as api:
        assert run(file, f"{PLAIN},provider\n{rows}", api=api).exit_code == 0
    assert len(api.identities) == 2


def test_all_problems_of_a_file_are_reported_at_once(file: Path) -> None:
    rows = "1,a@x.example,2026-01-17,10,Storniert,4\n1,a@x.example,2026-01-17,11,paid,\n"
    said = run(file, f"order_id,email,date,total,status,Refund\n{rows}", "--provider", "s").stderr
    for part in ("Storniert (1)", "Refund (line 2)", "line 3 repeats line 2"):
        assert part in said


def test_messages_contain_no_e_mail_address(file: Path) -> None:
    text = "order_id,email,date,total,status\n1,a@x.example,2026-01-17,10,marker@x.example\n"
    said = run(file, text, "--provider", "s").output
    assert "(an e-mail address) (1)" in said
    assert "marker" not in said

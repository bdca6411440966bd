"""Encodings, date formats, columns and mappings of the files that `tillbook import` reads."""

from __future__ import annotations

import codecs
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.tillbook_cli import mappings
from cli.tillbook_cli.main import tillbook
from tests.cli import exports
from tests.cli.fake_api import KEY, serving
from tests.cli.file_imports import PLAIN, imported, run
from tillbook.rules.identity import email_sha256

# ------------------------------------------------------------------- text


HEADER = f"{PLAIN},billing_last_name,billing_address_1"
ROW = "1,a@x.example,2026-01-17,10,EUR,Müller,Straße 1 – 2"


@pytest.mark.parametrize(
    "content",
    [
        f"{HEADER}\r\n{ROW}\r\n".encode(),
        f"{HEADER}\r\n{ROW}\r\n".encode("utf-8-sig"),
        f"{HEADER}\r\n{ROW}\r\n".encode("cp1252"),
        codecs.BOM_UTF16_LE + f"{HEADER}\r\n{ROW}\r\n".replace(",", "\t").encode("utf-16-le"),
        codecs.BOM_UTF16_BE + f"{HEADER}\n{ROW}\n".encode("utf-16-be"),
        f"{HEADER}\n{ROW}\n".encode("utf-16-le"),
        f"sep=;\r\n{HEADER}\r\n{ROW}\r\n".replace(",", ";").encode(),
        f'"sep=,"\n{HEADER}\n{ROW}\n'.encode("utf-8-sig"),
        codecs.BOM_UTF16_LE + f"sep=\t\r\n{HEADER}\r\n{ROW}\r\n".replace(",", "\t").encode("utf-16-le"),
        f"{HEADER}\n{ROW}\n".replace(",", "|").encode(),
    ],
)
@pytest.mark.parametrize("gzipped", [False, True])
def test_encodings_and_delimiters_are_detected(file: Path, content: bytes, gzipped: bool) -> None:
    (event,) = imported(file, gzip.compress(content, mtime=0) if gzipped else content)
    assert (event["email"], event["grand_total"]) == ("a@x.example", "10.00")
    assert event["billing_address"] == {"last_name": "Müller", "address_1": "Straße 1 – 2"}


def test_a_given_encoding_is_used(file: Path) -> None:
    (event,) = imported(file, f"{HEADER}\n{ROW}\n".replace("–", "-").encode("mac-roman"), "--encoding", "mac-roman")
    assert event["billing_address"]["last_name"] == "Müller"
    (event,) = imported(file, f"{HEADER}\n{ROW}\n".encode("utf-16-be"), "--encoding", "utf-16-be")
    assert event["billing_address"]["last_name"] == "Müller"
    assert run(file, HEADER, "--encoding", "klingon").exit_code == 2
    ran = run(file, b"\xff\xfea", "--check")
    assert (ran.exit_code, "is damaged, or has another encoding" in ran.stderr) == (1, True)


def test_files_that_are_neither_csv_nor_json_lines_are_refused(file: Path) -> None:
    assert "is a spreadsheet or an archive: save it as CSV." in run(file, b"PK\x03\x04....").stderr
    array = file.with_name("orders.txt")
    assert "each order on a line of its own" in run(array, json.dumps([{"order_id": 1}]), "--provider", "s").stderr


def test_an_import_of_utf_16_resumes_where_it_stopped(file: Path) -> None:
    rows = "".join(f"{n},a@x.example,2026-01-17,10,USD\n" for n in range(600))
    content = f"{PLAIN}\n{rows}".encode("utf-16")
    with serving() as api:
        api.fault = lambda number: "accept" if number <= 2 else (403, {})
        assert run(file, content, "--provider", "s", "--concurrency", "1", api=api).exit_code == 1
        assert 0 < len(api.events) < 600
        api.fault = lambda _number: "accept"
        again = CliRunner().invoke(tillbook, ["import", str(file), "--provider", "s", "--url", api.url, "--key", KEY])
        assert again.exit_code == 0, again.output
    assert len(api.events) == len(api.identities) == 600


# ------------------------------------------------------------------- dates


def test_us_and_european_dates_are_parsed(file: Path) -> None:
    text = "order_id,email,date,total\n1,a@x.example,9/6/2016 6:29:00,5\n2,a@x.example,12/31/2016 11:59 PM,5\n"
    text += "3,a@x.example,1/2/16,5\n4,a@x.example,2016-01-02T00:00:00Z,5\n"
    ran = run(file, text, "--provider", "s")
    assert ran.exit_code == 1
    assert "--date-format us reads 01/31/2026" in ran.stderr
    events = imported(file, text, "--date-format", "us", "--time-zone", "America/New_York")
    assert [event["occurred_at"] for event in events] == [
        "2016-09-06T10:29:00Z", "2017-01-01T04:59:00Z", "2016-01-02T00:00:00Z", "2016-01-02T00:00:00Z",
    ]  # fmt: skip
    europe = "order_id,email,date,total\n1,a@x.example,31.12.2016 23:59,5\n2,a@x.example,31/12/2016,5\n"
    assert [event["occurred_at"] for event in imported(file, europe, "--date-format", "eu")] == [
        "2016-12-31T23:59:00Z",
        "2016-12-31T00:00:00Z",
    ]
    own = "order_id,email,date,total\n1,a@x.example,2016/12/31 10.30 +0100,5\n"
    (event,) = imported(file, own, "--date-format", "%Y/%m/%d %H.%M %z")
    assert event["occurred_at"] == "2016-12-31T09:30:00Z"
    for wrong in ("nonsense", "%H:%M", "%Y"):
        assert "is not a date format" in run(file, own, "--provider", "s", "--date-format", wrong).stderr


def test_times_without_an_offset_are_reported(file: Path) -> None:
    text = f"{PLAIN}\n1,a@x.example,2026-01-17 10:00,10,USD\n2,a@x.example,2026-01-17T10:00Z,10,USD\n"
    assert "1 times have no offset and are read as UTC" in run(file, text, "--provider", "s").stderr
    assert "no offset" not in run(file, text, "--provider", "s", "--time-zone", "UTC").stderr


# ------------------------------------------------------- fields and mappings


def test_columns_of_v1_are_sent(file: Path) -> None:
    columns = (
        "order_id,customer_email_sha256,order_date,total,currency,customer_id,new_buyer,promo_code,metadata.channel"
    )
    row = f"1,{email_sha256('a@x.example')},2026-01-17,10,EUR,c-7,true,MAY,web"
    (order,) = imported(file, f"{columns}\n{row}\n", "--api", "v1")
    assert order == {
        "order_id": "1", "order_date": "2026-01-17T00:00:00Z", "total": "10.00", "currency": "EUR",
        "customer_email_sha256": email_sha256("a@x.example"), "customer_id": "c-7",
        "metadata": {"channel": "web", "promo_code": "MAY", "new_buyer": "true"},
    }  # fmt: skip
    (event,) = imported(file, f"{columns},email\n{row},a@x.example\n")
    assert (event["new_buyer"], event["promo_code"], event["channel"]) == ("true", "MAY", "web")
    assert "customer_email_sha256" not in event


def test_the_currency_of_orders_without_one_is_reported(file: Path) -> None:
    text = "order_id,email,date,total\n1,a@x.example,2026-01-17,10\n"
    assert "name no currency. They count in the account's currency" in run(file, text, "--provider", "s").stderr
    assert "name no currency. They count in USD" in run(file, text, "--api", "v1").stderr
    assert imported(file, text, "--currency", "EUR")[0]["currency"] == "EUR"


def test_negative_and_excessive_refunds_are_subtracted(file: Path) -> None:
    text = "order_id,email,date,total,refunded\n1,a@x.example,2026-01-17,10,-4\n2,a@x.example,2026-01-17,10,12\n"
    assert [event["grand_total"] for event in imported(file, text)] == ["6.00", "0.00"]
    ran = run(file, text.replace("-4", "four").replace("10,12", "-10,"), "--provider", "s")
    assert ran.exit_code == 1
    assert "refunded: must be a number" in ran.stderr
    assert "total: must be at least 0" in ran.stderr


def test_ids_and_amounts_are_read_from_one_column_only(file: Path) -> None:
    rows = "1,7,a@x.example,2026-01-17,10,3\n2,1,a@x.example,2026-01-17,,5\n"
    # The amount of the second row is only in `total`, which is not read beside `order_total`.
    ran = run(file, f"order_id,order_number,email,date,order_total,total\n{rows}", "--provider", "s")
    assert ran.exit_code == 1
    assert "order_total: is required in an import" in ran.stderr


def test_a_mapping_reads_lists_in_json(lines: Path) -> None:
    order = {
        "id": 7, "customer": {"email": "a@x.example"}, "created": "2026-01-17T10:00:00Z", "total": "100.00",
        "refunds": [{"transactions": [{"amount": "20.00"}, {"amount": "5.00"}]}, {"transactions": [{"amount": "1.5"}]}],
        "line_items": [
            {"sku": "M", "title": "Mug", "price": "10.00", "quantity": 3, "product": {"id": 1}},
            {"sku": "T", "title": "Tea", "price": "70.00", "quantity": 1, "product": {"id": 2}},
        ],
        "billing": {"street": "1 Main St", "zip": "02139"}, "cancelled_at": None,
    }  # fmt: skip
    columns = {
        "order_id": "id", "email": "customer.email", "occurred_at": "created", "grand_total": "total",
        "refunded_amount": "refunds[].transactions[].amount", "items.product_id": "line_items[].product.id",
        "items.sku": "line_items[].sku", "items.name": "line_items[].title", "items.price": "line_items[].price",
        "items.quantity": "line_items[].quantity", "billing_address.address_1": "billing.street",
        "billing_address.postal_code": "billing.zip",
    }  # fmt: skip
    given = [word for name, column in columns.items() for word in ("--column", f"{name}={column}")]
    saved = str(lines.with_name("saved.json"))
    for options in ((*given, "--save-mapping", saved), ("--mapping", saved)):
        (event,) = imported(lines, json.dumps(order), *options)
        # 100.00 less the refunds of 20.00, 5.00 and 1.50.
        assert (event["order_id"], event["email"], event["grand_total"], event["refunded"]) == (
            7, "a@x.example", "73.50", "26.50",
        )  # fmt: skip
        assert [(item["product_id"], item["sku"], item["quantity"]) for item in event["items"]] == [
            (1, "M", 3),
            (2, "T", 1),
        ]
        assert event["billing_address"] == {"address_1": "1 Main St", "postal_code": "02139"}
    (sent,) = imported(lines, json.dumps(order), *given, "--api", "v1")
    assert (sent["total"], len(sent["order_items"])) == ("73.50", 2)


EVENT_FIELDS = {"action": ["a"], "order_id": ["o"], "occurred_at": ["d"], "grand_total": ["t"]}


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ({"fields": {"grandtotal": ["Sum"]}}, "fields has no grandtotal"),
        ({"fields": {}, "items": {"amount": ["Sum"]}}, "items has no amount"),
        ({"fields": {}, "billing_address": {"zip": ["Zip"]}}, "billing_address has no zip"),
        ({"fields": {}, "constants": {"shop": "x"}}, "fields has no shop"),
        ({"fields": {}, "properties": {"grand_total": ["t"]}}, "properties has grand_total, which is a field"),
        ({"fields": {}, "platform": "etsy"}, "There is no platform etsy"),
        ({"fields": {}, "api": "v2"}, "There is no API v2"),
        ({"fields": {}, "dates": "%Y"}, "dates must be a list of texts"),
        ({"fields": EVENT_FIELDS, "group_by": ["o"]}, "group_by cannot be used"),
    ],
)
def test_mappings_with_unknown_names_or_wrong_values_are_refused(file: Path, shape: dict[str, Any], said: str) -> None:
    file.with_name("mapping.json").write_text(json.dumps(shape))
    ran = run(file, "o,a,d,t\n1,placed,2026-01-17,5\n", "--mapping", str(file.with_name("mapping.json")))
    assert ran.exit_code == 1
    assert said in ran.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--column", "grandtotal=total"], "fields has no grandtotal"),
        (["--column", "lines.price=total"], "There is no lines"),
        (["--column", "grand_total=Sum"], "The file has no column Sum."),
        (["--ignore", "Sum"], "The file has no column Sum."),
        (["--group-by", "Sum"], "The file has no column Sum."),
    ],
)
def test_options_with_unknown_fields_or_columns_are_refused(file: Path, options: list[str], said: str) -> None:
    ran = run(file, f"{PLAIN},total\n1,a@x.example,2026-01-17,5,USD,5\n", "--provider", "s", *options)
    assert ran.exit_code == 1
    assert said in ran.stderr


def test_the_columns_of_important_fields_are_printed(file: Path) -> None:
    said = run(file, exports.shopify()).stderr
    assert "order_id is Id; email is Email; occurred_at is Created at; grand_total is Total" in said
    said = run(file, exports.advanced_order_export()).stderr
    assert "The file has no ids, only Order Number." in said


def test_an_import_through_the_other_api_is_refused_with_a_warning(file: Path) -> None:
    """An order of 59.00 that is sent through v3 and through v1 counts 118.00."""
    text = f"{PLAIN}\n1,a@x.example,2026-01-17,59.00,USD\n"
    imported(file, text)
    with serving() as api:
        ran = CliRunner().invoke(tillbook, ["import", str(file), "--api", "v1", "--url", api.url, "--key", KEY])
    assert ran.exit_code == 1
    assert "sent to the other API or another provider, it counts a second time" in ran.stderr


def test_the_help_names_all_presets_meanings_required_fields_and_remedies() -> None:
    said = " ".join(CliRunner().invoke(tillbook, ["import", "--help"]).stdout.split())
    words = [*mappings.IMPORTABLE, *mappings.MEANINGS, "order_id", "email", "occurred_at", "grand_total"]
    words += ["refunded_amount", "customer_email_sha256", "new_buyer", "--no-amounts", "--status", "--ignore"]
    words += ["--ignore-repeats", "--group-by", "--column", "--date-format", "--time-zone", "--currency", "--skip-bad"]
    assert [word for word in words if word not in said] == []

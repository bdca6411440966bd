"""Messages of the queue: bounded in size, with the version of their format, and readable by other releases."""

from __future__ import annotations

import json
import random
import re
import string
import zlib
from base64 import b64decode
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillbook.records.messages import Message, Queue, QueuedOrder, Step, decode, encode
from tillbook.rules.errors import Unavailable

SQS_LIMIT = 1_048_576
# Matches a character that SQS refuses: https://www.w3.org/TR/REC-xml/#charsets
REFUSED = re.compile("[^\u0009\u000a\u000d\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

# A message in format version 1. A function also receives messages that the previous release wrote.
VERSION_1 = (
    '{"v":1,"orders":[{"account":"1234567","request_id":"r","received":"20190117205000000000","position":3,"event_id":"e",'
    '"occurred":"20190117205000000000","person":["email","ab"],"body":{"provider":"p","order_id":"1","action":"placed",'
    '"grand_total":22.99},"content_hash":"","notes":["n"]}],"tries":2}'
)


def order(n: int = 0, **body: Any) -> QueuedOrder:
    content = {"provider": "p", "order_id": str(n), "action": "placed"} | body
    return QueuedOrder(
        "1234567", f"r{n}", "20190117205000000000", n, f"e{n}", "20190117205000000000", ["email", "ab"], content
    )


class Sqs:
    """A queue with the limits of SQS. `batches` has the number of entries of each batch that was sent.

    Entries at the indexes `failing` fail: in the first batch, or in every batch if `for_ever`.
    """

    def __init__(self, failing: set[int] | None = None, for_ever: bool = False) -> None:
        self.bodies: list[str] = []
        self.batches: list[int] = []
        self.failing, self.for_ever = failing or set(), for_ever

    def _take(self, body: str) -> None:
        assert len(body.encode()) <= SQS_LIMIT
        assert not REFUSED.search(body)
        self.bodies.append(body)

    def send_message(self, **arguments: Any) -> dict[str, Any]:
        self._take(arguments["MessageBody"])
        return {"MessageId": "m"}

    def send_message_batch(self, **arguments: Any) -> dict[str, Any]:
        entries = arguments["Entries"]
        assert 1 <= len(entries) <= 10
        assert len({e["Id"] for e in entries}) == len(entries)
        assert sum(len(e["MessageBody"].encode()) for e in entries) <= SQS_LIMIT
        failed = [e for i, e in enumerate(entries) if i in self.failing]
        if not self.for_ever:
            self.failing = set()
        for entry in entries:
            if entry not in failed:
                self._take(entry["MessageBody"])
        self.batches.append(len(entries))
        return {"Failed": [{"Id": e["Id"], "SenderFault": False, "Code": "InternalError"} for e in failed]}

    @property
    def orders(self) -> list[QueuedOrder]:
        return [o for body in self.bodies for o in decode(body).orders]


def noise(size: int, seed: int) -> str:
    """Random text, which compresses badly."""
    return "".join(random.Random(seed).choices(string.ascii_letters + string.digits, k=size))


def test_a_message_in_format_version_1_stays_readable() -> None:
    message = decode(VERSION_1)
    assert message.tries == 2
    assert message.orders[0].body["grand_total"] == Decimal("22.99")
    assert message.orders[0].activity().total == Decimal("22.99")
    assert message.orders[0].notes == ["n"]


def test_a_message_in_an_unknown_format_version_is_refused() -> None:
    with pytest.raises(ValueError, match="version"):
        decode('{"v":99,"orders":[]}')


@pytest.mark.parametrize("body", ["", "z", "zzzz", "{", "[]", "null", "1", "{}"])
def test_text_that_is_no_message_raises(body: str) -> None:
    with pytest.raises(Exception):  # noqa: B017, PT011 - any error: the queue delivers the record again
        decode(body)


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text()), st.integers(0, 9))
def test_an_encoded_message_decodes_and_sqs_accepts_it(custom: dict[str, Any], tries: int) -> None:
    message = Message(orders=[order(1, custom=custom)], tries=tries)
    body = encode(message)
    assert not REFUSED.search(body)
    assert decode(body) == message


@pytest.mark.parametrize(
    "text", ["\ufffe", "\uffff", "\x00", "\x1f", "\x7f", "\x85", "\u2028", "😀", "\U0010ffff", "\t\n\r"]
)
def test_every_character_survives(text: str) -> None:
    message = Message([order(1, name=text)])
    body = encode(message)
    assert not REFUSED.search(body)
    assert decode(body) == message


def test_amounts_survive_exactly() -> None:
    found = decode(encode(Message([order(1, grand_total=Decimal("12345678901234.5678"), x=Decimal("1E+3"))]))).orders[0]
    assert found.activity().total == Decimal("12345678901234.5678")
    assert found.body["x"] == 1000


def test_big_messages_are_compressed() -> None:
    body = encode(Message([order(n, note="the same again " * 30) for n in range(100)]))
    assert len(body) < 10_000
    assert len(decode(body).orders) == 100


def test_a_thousand_orders_fit_in_ten_messages() -> None:
    sqs = Sqs()
    orders = [order(n) for n in range(1_000)]
    Queue(sqs, "url").send_orders(orders)
    assert sqs.orders == orders
    assert len(sqs.bodies) <= 10
    assert sum(sqs.batches) == len(sqs.bodies)


def test_orders_of_full_size_that_do_not_compress_stay_within_the_limits() -> None:
    sqs = Sqs()
    orders = [order(n, note=noise(250_000, n)) for n in range(16)]
    Queue(sqs, "url").send_orders(orders)
    assert [o.request_id for o in sqs.orders] == [o.request_id for o in orders]


def test_the_unpacked_size_of_a_message_is_bounded() -> None:
    """A function with 1 GB of memory unpacks ten messages at once, so compression must not hide a large message."""
    sqs, sent = Sqs(), [order(n, x=[Decimal("1.5")] * 50_000) for n in range(16)]
    Queue(sqs, "url").send_orders(sent)
    assert sqs.orders == sent
    assert all(len(zlib.decompress(b64decode(body[1:]))) < 1_100_000 for body in sqs.bodies)


def test_emoji_count_by_their_bytes() -> None:
    sqs = Sqs()
    text = "".join(chr(0x1F300 + n) for n in random.Random(1).choices(range(700), k=62_000))
    Queue(sqs, "url").send_orders([order(n, note=text) for n in range(12)])
    assert len(sqs.orders) == 12


def test_only_messages_that_the_queue_refused_are_sent_again() -> None:
    sqs = Sqs(failing={1, 3})
    orders = [order(n) for n in range(500)]
    Queue(sqs, "url").send_orders(orders)
    assert sorted(o.position for o in sqs.orders) == list(range(500))
    assert sqs.batches == [5, 2]


def test_a_message_that_the_queue_never_accepts_is_an_error() -> None:
    with pytest.raises(Unavailable):
        Queue(Sqs(failing={0}, for_ever=True), "url").send_orders([order(n) for n in range(500)])


def test_a_message_is_json_with_its_format_version() -> None:
    assert json.loads(encode(Message([order()])))["v"] == 1


def test_fields_of_a_newer_release_are_left_out() -> None:
    message = decode(
        '{"v":1,"new":1,"orders":[{"account":"acme","request_id":"r","received":"2","position":0,"event_id":"e",'
        '"occurred":"1","person":["person","p"],"body":{},"new":[1]}],'
        '"steps":[{"account":"acme","job":"j","chain":2,"new":1}]}'
    )
    assert message.orders == [QueuedOrder("acme", "r", "2", 0, "e", "1", ["person", "p"], {})]
    assert message.steps == [Step("acme", "j", 2)]

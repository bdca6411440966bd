"""Ids of people, orders and events. Tables contain them, so tests compare them with literal values."""

from __future__ import annotations

import base64
import hashlib
import sys
import time
import timeit
from typing import Any

import pytest

from tillbook.contract.document import digest
from tillbook.contract.orders_api import document
from tillbook.rules.identity import (
    Person,
    email_sha256,
    is_account_id,
    is_email,
    is_sha256,
    keyed_event_id,
    order_key,
    payload_hash,
    person_of,
    request_event_id,
)
from tillbook.rules.json_text import loads


@pytest.mark.parametrize(
    "text",
    [
        "user@gmail.com",
        "a@b.co",
        " User@Gmail.com ",
        "o'neil+tag@mail.example.co.uk",
        "ü@bücher.de",
        "1@2.3",
        "a@b.co\n",
    ],
)
def test_an_email_address_is_recognized(text: str) -> None:
    assert is_email(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "user",
        "@",
        "a@",
        "@b.co",
        "a@b",
        "a@b.",
        "a@.co",
        "a@@b.co",
        "a b@c.co",
        "a@b c.co",
        "a@b@c.co",
        "a" * 320 + "@b.co",
        "27876",
    ],
)
def test_other_text_is_no_email_address(text: str) -> None:
    assert not is_email(text)


def test_an_email_is_trimmed_lowercased_and_hashed() -> None:
    known = "02ee7bdc4ccf5c94808a0118eb531822f13e7e38e3810ab29ebefb2c2feb8e58"  # printf user@gmail.com | sha256sum
    assert email_sha256("user@gmail.com") == email_sha256("  USER@Gmail.com\n") == known


def test_white_space_and_punctuation_around_an_email_are_removed() -> None:
    spaces = "".join(chr(c) for c in range(sys.maxunicode + 1) if chr(c).isspace())
    assert email_sha256(f"({spaces}<user@gmail.com>{spaces});") == email_sha256("user@gmail.com")


def test_the_time_to_clean_an_email_is_linear() -> None:
    def seconds(length: int) -> float:
        text = f"a@{'(' * length}b"  # brackets that cleaning does not remove, since they are not at an end
        assert not is_email(text)
        return min(timeit.repeat(lambda: is_email(text), timer=time.process_time, number=500, repeat=5))

    # The long text is just below the limit of 1,000 characters. It has 4 times the length of the short one: linear time
    # grows by 4, quadratic time by 16.
    assert seconds(4 * 249) < 9 * seconds(249)


def test_the_form_of_a_sha256_and_of_an_account_id_is_checked() -> None:
    assert is_sha256("aB" * 32)
    assert not is_sha256("g" * 64)
    assert not is_sha256("a" * 63)
    assert is_account_id("a-Z_9")
    assert is_account_id("x" * 64)
    for bad in ("", "x" * 65, "a/b", "a b", "ä", "a\n"):
        assert not is_account_id(bad)


def test_an_id_that_is_an_email_counts_as_the_email() -> None:
    email = Person("email", email_sha256("user@gmail.com"))
    assert person_of("person", "User@gmail.com") == email
    assert person_of("customer", "user@GMAIL.com") == email
    assert person_of("person", "27876") == Person("person", "27876")


def test_equal_values_of_different_kinds_or_accounts_are_different_people() -> None:
    ids = {Person(kind, "7").id_in("1234567") for kind in ("email", "person", "customer")}
    assert len(ids) == 3
    assert Person("person", "7").id_in("another") not in ids


# --------------------- ids that must never change, because tables contain them


def _short(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()[:16]).decode().rstrip("=")


def test_person_ids_do_not_change() -> None:
    person = Person("email", hashlib.sha256(b"user@gmail.com").hexdigest())
    assert person.id_in("1234567") == "f5195d5486c90a8fc214a2ca4b0a94b9"
    assert Person("person", "p-1").id_in("1234567") == "472a28d8b1ea2c604a1830b3fb652f4c"


def test_order_keys_do_not_change() -> None:
    assert order_key("shopper_activity", "my_custom_platform", "456445746") == "C3UP_LPPU7hN30DMvMjcLw"
    assert order_key("orders_api", "", "#5") == "yoy9QaFohKKbVN8nqfNBNA"
    assert order_key("orders_api", "", "#5") == _short("order-1\norders_api\n\n#5")
    assert len(order_key("orders_api", "", "😀" * 255)) == 22


def test_event_ids_do_not_change() -> None:
    assert keyed_event_id("1234567", "key", 3) == _short("key-1\n1234567\n3\nkey") == "j0CcME-QGEhhabRWrpiNdQ"
    assert request_event_id("r") == _short("request-1\nr")
    # Account, idempotency key and position all count.
    assert len({keyed_event_id(a, k, p) for a in ("1", "2") for k in ("1", "2") for p in (1, 2)}) == 2 * 2 * 2


SENT = """{"provider": "p", "email": "User@Gmail.com", "action": "placed", "occurred_at": "2019-01-17T20:50:00Z",
    "order_id": 7, "grand_total": 22.990, "items": [{"name": "Bottle", "price": 1e1}], "tag": "é", "none": null}"""
# The text that is hashed for SENT. `%s` is the SHA-256 of the e-mail address.
HASHED = (
    'payload-1\n{"action":"placed","email":"sha256:%s","grand_total":2299e-2,"items":[{"name":"Bottle","price":1e1}],'
    '"none":null,"occurred_at":"2019-01-17T20:50:00Z","order_id":7e0,"provider":"p","tag":"é"}'
)


def _payload(**changes: Any) -> dict[str, Any]:
    """SENT with changes. A field that is "absent" is left out."""
    return {k: v for k, v in (loads(SENT) | changes).items() if v != "absent"}


def test_the_payload_hash_does_not_change() -> None:
    expected = _short(HASHED % hashlib.sha256(b"user@gmail.com").hexdigest())
    assert payload_hash(_payload()) == expected == "9aySTKw2YZkAXC0T7Hkr4w"


def test_the_payload_hash_compares_values_and_ignores_key_order_and_the_spelling_of_an_email() -> None:
    payload = _payload()
    backwards = dict(reversed(payload.items()))
    respelled = payload | {"email": " user@GMAIL.com", "grand_total": loads("2299e-2"), "order_id": loads("7.0")}
    assert payload_hash(backwards) == payload_hash(respelled) == payload_hash(payload)


@pytest.mark.parametrize(
    "change",
    [
        {"grand_total": loads("22.98")},
        {"grand_total": "22.99"},
        {"email": "other@gmail.com"},
        {"none": "absent"},
        {"total_fees": 0},  # a default that is sent is content, too
        {"tag": "e"},
        {"items": []},
        {"order_id": "7"},
    ],
)
def test_another_payload_has_another_hash(change: dict[str, Any]) -> None:
    assert payload_hash(_payload(**change)) != payload_hash(_payload())


SUBMITTED = """{"order_id": 7, "order_date": "2019-01-17", "customer_email": "User@Gmail.com", "total": 22.990,
    "order_items": [{"identifier": "a", "total": 1e1}], "billing_address": {"address_1": "é", "postal_code": 1}}"""
# The text whose hash is the digest of SUBMITTED.
COMPARED = (
    'submission-1\n{"billing_address":{"address_1":"é","country":"USA","postal_code":"1"},"currency":"USD",'
    '"email_sha256":"%s","order_date":"20190117000000000000","order_id":"7",'
    '"order_items":[{"identifier":"a","quantity":1e0,"total":1e1}],"total":2299e-2}'
)


def test_the_digest_of_a_submission_does_not_change() -> None:
    text = COMPARED % hashlib.sha256(b"user@gmail.com").hexdigest()
    # Sending an item's default values does not change the digest.
    for defaults in ("", '"price":0', '"price":"","category":[],"quantity":1'):
        sent = loads(SUBMITTED.replace('"total": 1e1', f'"total": 1e1{"," * bool(defaults)}{defaults}'))
        found = digest(document(sent)[0].body)
        assert found == hashlib.sha256(text.encode()).hexdigest()[:32] == "a44a18a7eff7abb754726ad0b875073f"
    # A total of 0 equals an absent one, so neither is in the text.
    total_of_zero = digest(document(loads(SUBMITTED) | {"total": 0})[0].body)
    without_total = text.replace(',"total":2299e-2', "")
    assert total_of_zero == hashlib.sha256(without_total.encode()).hexdigest()[:32]


def test_a_person_id_that_is_an_email_is_hashed_before_the_payload_is() -> None:
    one, other = _payload(person_id="A@b.co"), _payload(person_id="a@b.co ")
    assert payload_hash(one) == payload_hash(other)
    assert payload_hash(_payload(person_id="AB")) != payload_hash(_payload(person_id="ab"))

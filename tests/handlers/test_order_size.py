"""The size limit of a v1 order: the size as sent decides, and every stored form fits into an item of DynamoDB."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.handlers.shop import ACCOUNT, Shop
from tillbook.aws.settings import settings
from tillbook.contract import orders_api
from tillbook.contract.limits import MAX_ORDER_BYTES
from tillbook.rules.json_text import loads

ORDER = (
    '{"order_id":"1","order_date":"2026W01","customer_id":"a@b.co","shipping_address":{"address_1":1,"postal_code":1},'
)
PRINTABLE = [chr(c) for c in range(32, 127) if chr(c) not in '"\\']  # 6.5 bits in a byte: the least compressible JSON

# Items that grow when they are normalised, and hardly shrink when they are packed. `r` has a fixed seed.
ITEMS: dict[str, Callable[[random.Random], str]] = {
    "random text": lambda r: f'"identifier":"{text(r, 20)}","total":1',
    "random digits": lambda r: f'"identifier":{r.randrange(10**18)},"total":{r.randrange(10)}',
    "amounts by exponent": lambda r: f'"identifier":1,"total":{r.randrange(1, 10)}e14,"price":{r.randrange(1, 10)}e14',
    "numbers in metadata": lambda r: f'"identifier":1,"total":1,"metadata":{{"{text(r, 1)}":{r.randrange(10)}}}',
    "a category": lambda r: f'"identifier":"{text(r, 4)}","total":1,"category":"{text(r, 2)}"',
}


def text(r: random.Random, length: int) -> str:
    return "".join(r.choices(PRINTABLE, k=length))


def largest(item: Callable[[random.Random], str], size: int = MAX_ORDER_BYTES) -> str:
    """A submission of `size` bytes with 5,000 items, padded with descriptions of random text."""
    r = random.Random(7)
    items = [item(r) for _ in range(5_000)]
    left = size - len(whole(items))
    for n in range(5_000):
        if left > 20:  # the description is 17 bytes longer than its text
            filler = f',"description":"{text(r, min(left - 17, 10_000))}"'
            items[n] += filler
            left -= len(filler)
    sent = whole(items) + " " * left
    assert len(sent) == size
    return sent


def whole(items: list[str]) -> str:
    return f'{ORDER}"order_items":[{{{"},{".join(items)}}}]}}'


def size_of(item: dict[str, Any]) -> int:
    """An upper bound of the size that DynamoDB counts: names, values, and 24 bytes for a number or a list."""
    return sum(
        len(name.encode()) + 24 + len(value if isinstance(value, bytes) else str(value).encode())
        for name, value in item.items()
    )


@pytest.mark.parametrize("kind", ITEMS)
def test_the_largest_order_is_accepted_stored_and_edited(shop: Shop, kind: str) -> None:
    sent = largest(ITEMS[kind])
    assert shop.submit(sent).status == 201
    assert shop.edit("1", {"order_date": "2026-01-02"}).status == 200, "what was accepted can be edited"
    assert max(map(size_of, shop.items(settings().ledger_table))) < 400_000
    assert shop.edit("1", {"metadata": {f"k{n}": "m" * 200 for n in range(10)}}).status == 413
    assert shop.submit(sent).status == 201
    assert shop.submit(sent + " ").status == 413


def test_defaults_do_not_make_an_order_too_large(shop: Shop) -> None:
    items = [{"identifier": f"a{n:04}" + "x" * 14, "total": 1} for n in range(5_000)]
    order = {"order_id": "1", "order_date": "2026-01-01", "customer_email": "ann@example.com", "order_items": items}
    sent = json.dumps(order, separators=(",", ":"))
    assert len(sent) < 240_000
    assert shop.submit(sent).status == 201
    assert shop.edit("1", {"total": 5}).status == 200
    assert shop.edit("1", {"order_items": items}).status == 200
    assert shop.edit("1", {"order_items": [item | {"price": 5} for item in items]}).status == 413
    shop.drain()
    assert shop.ltv("ann@example.com") == {"USD": "5.00"}
    assert shop.get(f"/v3/{ACCOUNT}/people/ann@example.com/orders").status == 200


_WORD = st.sampled_from(['"a"', '"é"', '"5"', "5", "-12", '"true"', '"1e2"', '"0.00001"', '"a\\nb"', '"007"'])
_AMOUNT = st.sampled_from(["1", "0", "1e14", "2E3", "0.0001", "1e-4", '".5"', '"5"', "12.30", "999999999999999.9999"])
_NUMBER = st.sampled_from(["true", "false", "1e2", "1.50", "1e-6", "15E-7", "-1e-6", "1e-9", "0.0", "0e9", "7", '"x"'])


def _members(
    *optional: tuple[str, st.SearchStrategy[str]], **required: st.SearchStrategy[str]
) -> st.SearchStrategy[str]:
    """Texts of JSON objects with all `required` members and some of the `optional` ones, drawn as JSON texts."""
    drawn = st.fixed_dictionaries(required, optional=dict(optional))
    return drawn.map(
        lambda members: f"{{{','.join(f'{json.dumps(name)}:{value}' for name, value in members.items())}}}"
    )


_METADATA = (
    "metadata",
    st.dictionaries(st.text("ab\né", max_size=2), _NUMBER, max_size=4).map(
        lambda entries: (
            f"{{{','.join(f'{json.dumps(name, ensure_ascii=False)}:{value}' for name, value in entries.items())}}}"
        )
    ),
)
_CATEGORY = ("category", st.sampled_from(['"a"', '"5"', "[]", '["a"]', '["a","b"]', '""']))
_ITEM = _members(
    ("description", _WORD),
    ("quantity", st.sampled_from(["1", "2", "1e3", "1e14", '"2"'])),
    ("price", _AMOUNT),
    _CATEGORY,
    _METADATA,
    identifier=_WORD,
    total=_AMOUNT,
)
_ADDRESS = _members(
    ("country", st.sampled_from(['"US"', '"de"', '"DEU"', '""'])), ("state", _WORD), ("name", _WORD),
    address_1=_WORD, postal_code=_WORD,
)  # fmt: skip
_ORDER = _members(
    ("total", _AMOUNT),
    ("currency", st.sampled_from(['""', '"usd"', '"EUR"'])),
    ("customer_id", st.sampled_from(["5", '"c@d.e"'])),
    _METADATA,
    ("order_items", st.lists(_ITEM, max_size=3).map(lambda items: f"[{','.join(items)}]")),
    ("billing_address", _ADDRESS),
    order_id=st.sampled_from(['"a"', '"5"', "5"]),
    order_date=st.sampled_from(['"2026W01"', '"20260101"', '"2026-01-01T00:00:00Z"']),
    shipping_address=_ADDRESS,
)


@given(_ORDER)
def test_the_counted_size_is_at_most_the_size_as_sent(sent: str) -> None:
    document, _ = orders_api.document(loads(sent))
    assert orders_api.least_sent_size(document.body) <= len(sent.encode())


def test_the_counted_size_leaves_out_only_fields_that_may_have_been_added() -> None:
    sent = (
        '{"order_id":"a","order_date":"2026-01-01T00:00:00Z","total":5.5,"currency":"EUR","customer_id":"c","metadata":'
        '{"currency":"USD","quantity":"one"},"order_items":[{"identifier":"a","quantity":2,"total":1.5},{"identifier":'
        '"b","quantity":3,"total":2.5,"category":["a","b"]}],"billing_address":{"address_1":"a","postal_code":"b","country":"DEU"}}'
    )
    size = orders_api.least_sent_size(orders_api.document(loads(sent))[0].body)
    left_out = ',"order_date":"2026-01-01T00:00:00Z","currency":"EUR","country":"DEU"'
    assert size == len(sent) - len(left_out)

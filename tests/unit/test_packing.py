"""Packing of bodies, as they are stored. Bytes that a released version wrote must stay readable for ever."""

from __future__ import annotations

import zlib
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillbook.rules.packing import pack, unpack

BODY: dict[str, Any] = {
    "provider": "my_custom_platform",
    "action": "placed",
    "order_id": "456445746",
    "grand_total": Decimal("22.99"),
    "currency": "USD",
    "items": [{"product_id": "B01J4SWO1G", "name": "Bottle 😀", "price": Decimal("11.16"), "tags": [1, True, None]}],
}
# The bytes that version 1 wrote for BODY. Do not replace them with newer bytes: tables contain bytes of version 1.
VERSION_1 = bytes.fromhex(
    "01ab460e75ace18b194f4829c2c4d4ccc4c4d4dcc40c3d411919e9595aea60a63a1c91e16460e865121cee6fe88e0875"
    "a7fc92929c54850ff3673428c103d6d050cfd00c1454e920530c7540f5890ea8c488ad8dad0500"
)


def test_a_body_packed_by_version_1_stays_readable() -> None:
    assert unpack(VERSION_1) == BODY


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text())))
def test_packed_bodies_unpack(body: dict[str, Any]) -> None:
    assert unpack(pack(body)) == body


def test_amounts_unpack_exactly_and_never_as_floats() -> None:
    (amount,) = unpack(pack([Decimal("12345678901234567.89")]))
    assert amount == Decimal("12345678901234567.89")
    assert isinstance(amount, Decimal)


@pytest.mark.parametrize("data", [b"", b"\x02abc", b"{}", zlib.compress(b"{}")])
def test_another_version_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="version"):
        unpack(data)


def test_an_event_of_the_usual_size_takes_one_write_unit() -> None:
    """A write unit is 1 KiB: a body of 400 bytes leaves 624 for the keys and the other attributes of the event."""
    assert len(pack(BODY | {"items": BODY["items"] * 3})) < 400

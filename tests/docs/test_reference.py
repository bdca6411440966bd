"""Tests that docs/api.md is up to date, and contains every route, shape and field."""

from __future__ import annotations

import json

from openapi import reference
from tillbook.web.routes import ROUTES


def test_the_reference_is_up_to_date() -> None:
    assert reference.TARGET.read_text() == reference.text(), "run python -m openapi.reference"


def test_each_route_has_an_example() -> None:
    sections = reference.text().split("\n### ")
    for key in ROUTES:
        [section] = [text for text in sections if f"\n`{key}`\n" in text]
        assert "```sh" in section, key


def test_each_shape_and_field_is_in_the_reference() -> None:
    text = reference.text()
    for name, schema in json.loads(reference.DOCUMENT.read_text())["components"]["schemas"].items():
        # The reference names the first three where they are used, and refers from OrderChange to the fields of Order.
        if name in ("OpenApi", "Currency", "Country", "OrderChange"):
            continue
        shape = text.split(f"\n### {name}\n")[1].split("\n### ")[0]
        assert all(f"\n| `{field}` |" in shape for field in schema["properties"]), name

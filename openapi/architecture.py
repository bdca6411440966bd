"""`python -m openapi.architecture` writes the table of items in docs/architecture.md, from the classes of the items."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from tillbook.ledger import items
from tillbook.records import (
    accounts,
    book,
    connections,
    deadletters,
    jobs,
    keys,
    last_deliveries,
    outcomes,
    providers,
    rejections,
    removals,
    scopes,
)
from tillbook.rules.order import OrderState

PAGE = Path(__file__).resolve().parents[1] / "docs" / "architecture.md"
BEGIN, END = "<!-- items: made by python -m openapi.architecture -->", "<!-- end of items -->"
_TABLES = {
    "LedgerTable": (items,),
    "RecordsTable": (
        accounts, keys, connections, last_deliveries, outcomes, deadletters, jobs, scopes, providers, rejections,
    ),
    "BookTable": (book,),
    "RemovalsTable": (removals,),
}  # fmt: skip
_KEY = re.compile(r"Key: (`[^`]+`(?: and `[^`]+`)?), (`[^`]+`)\.")
_INDEXED = ("records", *items.MATCH_INDEXES.values())
# Attributes that items have besides the fields of their class. Only v1 orders have the last of _INDEXED, customer_key.
_ADDED = {
    items.ActivityHead: (*OrderState._fields, "contribution", *_INDEXED[:-1]),
    items.OrderHead: _INDEXED,
    items.PersonItem: ("USD", "#USD"),
}
_NOT_ATTRIBUTES = {"state", "customer", "cells"}  # fields that are stored as several attributes


def classes() -> list[tuple[str, type]]:
    """(table, class) of each item: a class whose docstring names its key."""
    return [
        (table, kind)
        for table, modules in _TABLES.items()
        for module in modules
        for kind in vars(module).values()  # in the order of the module
        if inspect.isclass(kind) and kind.__module__ == module.__name__ and _KEY.search(kind.__doc__ or "")
    ]


def table() -> str:
    """The table in Markdown."""
    rows = ["| Item | Table | Key: pk, sk | Attributes |", "|---|---|---|---|"]
    for name, kind in classes():
        found = _KEY.search(kind.__doc__ or "")
        pk, sk = (found[1], found[2]) if found else ("", "")
        fields = [field for field in getattr(kind, "_fields", ()) if field not in _NOT_ATTRIBUTES]
        listed = ", ".join(f"`{field}`" for field in dict.fromkeys([*fields, *_ADDED.get(kind, ())]))
        what = (kind.__doc__ or "").split(".")[0].replace("\n", " ")
        rows.append(f"| {what} | `{name}` | {pk}, {sk} | {listed or 'none'} |".replace("{o|s}", "{o or s}"))
    return "\n".join(rows)


def page(text: str) -> str:
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))

"""Reads the pages of a person's activities and orders."""

from __future__ import annotations

from typing import Any

from tests.handlers.shop import ACCOUNT, Shop

PERSON = f"/v3/{ACCOUNT}/people"  # an e-mail address or an id follows


def read_all_pages(shop: Shop, path: str, noun: str, limit: int) -> list[Any]:
    """All entries of a list, read in pages of `limit` entries. `noun`: the field with the entries."""
    entries: list[Any] = []
    cursor: str | None = None
    for _ in range(500):
        query = {"limit": str(limit)} | ({"cursor": cursor} if cursor else {})
        answer = shop.get(path, query=query)
        assert answer.status == 200
        assert set(answer.body) == {noun, "next_cursor"}
        assert len(answer.body[noun]) <= limit
        entries += answer.body[noun]
        cursor = answer.body["next_cursor"]
        if cursor is None:
            return entries
    raise AssertionError("the list has more than 500 pages")

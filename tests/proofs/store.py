"""A table in memory. The transactions of the product write to it, and it interprets their conditions."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from functools import cache, cached_property
from typing import Any, NamedTuple

from tillbook.aws.items import plain_item
from tillbook.ledger.items import EventItem, event_of, head_of
from tillbook.ledger.writes import Change, transaction
from tillbook.records.scopes import Mark

Holds = Callable[[Any, Any], bool]  # an item (None if there is none), the value that the condition compares with
_TERM = re.compile(r"attribute_not_exists\((?P<absent>#?\w+)\)|(?P<name>#?\w+) (?P<sign>[=<]) :\w+")


@cache
def condition(text: str) -> Holds:
    """Parses a condition of the forms that the code uses; an empty one always holds. Raises ValueError for others."""
    terms = [_term(term) for term in text.split(" OR ") if text]
    return lambda item, value: not text or any(term(item, value) for term in terms)


def _term(text: str) -> Holds:
    match = _TERM.fullmatch(text)
    if match is None:
        raise ValueError(f"unknown condition: {text!r}")
    absent, name, sign = match.groups()
    if absent:
        return lambda item, value: _attribute(item, absent) is None
    if sign == "=":
        return lambda item, value: _attribute(item, name) == value
    return lambda item, value: (have := _attribute(item, name)) is not None and have < value


def _attribute(item: Any, name: str) -> Any:
    """The value of an attribute; None if the item does not have it. Empty texts are not stored."""
    if item is None or name == "pk":
        return item
    value = getattr(item, name.removeprefix("#"))
    return None if value == "" else value


class Key(NamedTuple):
    """`kind`: head, event, person or mark. Marks have generation 0."""

    kind: str
    generation: int
    name: str = ""


class Sums(NamedTuple):
    """The stored item of a person: token, LTV and number of orders."""

    token: int = 0
    contribution: Decimal = Decimal(0)
    orders: int = 0


class Write(NamedTuple):
    """A write of one item: `add` adds to the sums of a person, `mark` sets a mark, else `item` is stored.

    Without any of the three, the item is deleted. `seen`: the value that the condition compares with.
    """

    key: Key
    condition: str = ""
    seen: Any = None
    item: Any = None
    add: Sums | None = None
    mark: Mark | None = None

    def after(self, item: Any, token: int) -> Any:
        """The item after this write. `token`: the person's new token; 0: the next number of a counter in the item."""
        if self.add:
            old = item or Sums()
            contribution, orders = old.contribution + self.add.contribution, old.orders + self.add.orders
            return Sums(token or old.token + 1, contribution, orders)
        if self.mark:
            old, new = item or Mark(), self.mark
            return Mark(old.generation + new.generation, new.cut or old.cut, new.answered or old.answered, old.swept)
        return self.item


class Writes(tuple[Write, ...]):
    """The writes of one transaction, which are made together or not at all."""

    @cached_property
    def _hash(self) -> int:
        return super().__hash__()

    def __hash__(self) -> int:
        return self._hash


def writes_of(change: Change) -> Writes:
    """The writes of the product's transaction, without the data that only reports and audiences read."""
    generation = change.scope.generation
    found = []
    for write in transaction("", [change]).writes:
        (request,) = write.values()
        values = plain_item(request.get("ExpressionAttributeValues", {}))
        if item := plain_item(request.get("Item", {})):
            event_id = item["sk"].partition("!")[2]
            key = Key("event" if event_id else "head", generation, event_id)
            stored = event_of(item)._replace(effects="", flags="") if event_id else head_of(item)
            found.append(Write(key, request["ConditionExpression"], values.get(":seen"), stored))
        elif "/p/" in (item_key := plain_item(request["Key"]))["pk"]:
            added = {name: values[f":{mark[1:]}"] for mark, name in request["ExpressionAttributeNames"].items()}
            # The amounts that the write adds to LTV (`*` and USD), and to the number of orders (`#*` and `#USD`).
            sums = [sum(added.get(f"{sign}{currency}", 0) for currency in ("*", "USD")) for sign in ("", "#")]
            found.append(Write(Key("person", generation, item_key["sk"]), add=Sums(0, *sums)))
    return Writes(found)


class Items(dict[Key, Any]):
    """Stored items by key. Immutable: `written` returns a new object."""

    @cached_property
    def _hash(self) -> int:
        return hash(frozenset(self.items()))

    def __hash__(self) -> int:  # type: ignore[override]
        return self._hash

    def head(self, generation: int) -> Any:
        return self.get(Key("head", generation))

    def events(self, generation: int) -> dict[str, EventItem]:
        """Events by id, emptied ones too."""
        return self._by_name.get(("event", generation), {})

    def people(self, generation: int) -> dict[str, Sums]:
        return self._by_name.get(("person", generation), {})

    def mark(self, name: str) -> Any:
        return self.get(Key("mark", 0, name), Mark())

    @cached_property
    def _by_name(self) -> dict[tuple[str, int], dict[str, Any]]:
        found: dict[tuple[str, int], dict[str, Any]] = {}
        for key in sorted(self):
            found.setdefault((key.kind, key.generation), {})[key.name] = self[key]
        return found

    def written(self, writes: Writes, token: int) -> tuple[Items, dict[Key, Any] | None]:
        """The items after the writes, and None; or the items on which the conditions failed, by key."""
        failed = {w.key: self.get(w.key) for w in writes if not condition(w.condition)(self.get(w.key), w.seen)}
        if failed:
            return self, failed
        after = {**self, **{w.key: w.after(self.get(w.key), token) for w in writes}}
        return Items({key: item for key, item in after.items() if item is not None}), None

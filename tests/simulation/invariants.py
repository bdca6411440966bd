"""Checks after every write that stored LTV, order counts and event counts agree with the orders and events."""

from __future__ import annotations

from decimal import Decimal

from tests.simulation.deployment import LEDGER
from tests.simulation.expressions import Item
from tests.simulation.store import Key


class Broken(BaseException):
    """An invariant does not hold. Not an Exception, so that no code under test can catch it."""


# ------------------------------------------------------------------- invariants


class Invariants:
    """Sums up the order heads with each write, and compares the sums with the stored ones of the current scopes."""

    def __init__(self) -> None:
        self.current: dict[tuple[str, str], int] = {}  # generation by account and source letter (o or s)
        self.sums: dict[Key, Decimal] = {}  # by (scope and person, attribute)
        self.stored: dict[Key, Decimal] = {}
        self.events: dict[Key, int] = {}  # numbers of stored events by (scope, order key)
        self.heads: dict[Key, int] = {}  # numbers of events in the order heads, by (scope, order key)
        self.touched: set[Key] = set()
        self.touched_orders: set[Key] = set()

    def watch(self, name: str, key: Key, old: Item | None, new: Item | None) -> None:
        """Takes in one write. `name`: of the table."""
        if name != LEDGER:
            return
        account, scope, kind, *_ = key[0].split("/")
        scope_name, sk = f"{account}/{scope}", key[1]
        if kind == "h":
            for item, sign in ((old, -1), (new, 1)):
                if item is not None and "contribution" in item:
                    self._add_head(scope_name, item, sign)
            if scope[0] == "s":
                self.heads[scope_name, sk] = int(new["events"]["N"]) if new and "events" in new else 0
                self.touched_orders.add((scope_name, sk))
        elif kind == "p":
            for attribute, value in (new or {}).items():
                if attribute[-1:] == "*" or attribute[-3:].isupper():  # USD, *, or the counts #USD, #*
                    self.stored[f"{scope_name}/{sk}", attribute] = Decimal(value["N"])
                    self.touched.add((f"{scope_name}/{sk}", attribute))
        elif kind == "e" and scope[0] == "s":
            order = scope_name, sk.partition("!")[0]
            # An emptied event has no stamp, and is not counted.
            change = (new is not None and "stamp" in new) - (old is not None and "stamp" in old)
            self.events[order] = self.events.get(order, 0) + change
            self.touched_orders.add(order)

    def _add_head(self, scope: str, head: Item, sign: int) -> None:
        if "person" in head:
            person = f"{scope}/{head['person']['S']}"
            currency = head["currency"]["S"] if "currency" in head else "*"
            self._add(self.sums, (person, currency), sign * Decimal(head["contribution"]["N"]))
            self._add(self.sums, (person, f"#{currency}"), Decimal(sign))

    def _add(self, sums: dict[Key, Decimal], at: Key, delta: Decimal) -> None:
        sums[at] = sums.get(at, Decimal(0)) + delta
        self.touched.add(at)

    def _is_current(self, at: Key) -> bool:
        """Whether the scope is the current one. Purged scopes are being deleted, so their sums do not agree."""
        account, scope, *_ = at[0].split("/")
        return int(scope[1:]) >= self.current.get((account, scope[0]), 0)

    def committed(self) -> None:
        """Checks what changed since the last call. Raises Broken for a stored sum or count that is wrong."""
        for at in filter(self._is_current, self.touched):
            if self.sums.get(at, 0) != self.stored.get(at, 0):
                raise Broken(f"{at} is stored as {self.stored.get(at)}, but its orders add up to {self.sums.get(at)}")
        for order in filter(self._is_current, self.touched_orders):
            if self.heads.get(order) != self.events.get(order, 0):
                raise Broken(f"{order} counts {self.heads.get(order)} events, but has {self.events.get(order)}")
        self.touched.clear()
        self.touched_orders.clear()

"""The rules of the design, each with the behaviour of a system that breaks it."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

from tillbook.ledger import writes
from tillbook.records import scopes

RULES = {
    # Purges and erasures
    "commit wait": "A mark's cut is the time at which it is sent. The request does not wait until the cut has passed.",
    "settle": "A job begins while a function still runs that read the marks before the job's mark was written.",
    "newest mark": "The job of a purge waits for functions from before the first purge, but sweeps for all purges.",
    "read the mark once": "The job of a purge reads the mark again after waiting, and sweeps what the new mark covers.",
    "fail without a mark": "A job whose request ended before its mark was written writes the mark itself.",
    "repeat the purge": "The job does not repeat a purge whose mark was not acknowledged before its cut.",
    "heads stay": "Emptying an order's events also deletes its head if the order no longer counts.",
    "events stay": "The events of an erased person are deleted, not emptied.",
    "emptying is a write": "Emptying an order does not increase the number of writes in its head.",
    "unique tokens": "The token of a person is a counter, which starts again when the person is created again.",
    "items, not the index": "The check before a person is deleted trusts an index that may miss the latest writes.",
    # Order Activity
    "move to the first receipt": "A copy with an earlier receipt does not move the stored event to that receipt.",
    "content under a key": "Different content under the same idempotency key counts as a copy.",
    "erased events keep ids": "An event that an erasure covers is dropped, without storing its id.",
    "delete the person of an erased event": "After an event of an erased person, the person stays, even with no order.",
    # Orders API
    "look for own version": "After a lost answer, a call does not look for the version that it may have written.",
    "head before own version": "A call looks for its own version before it reads the head, not after.",
    "skip emptied versions": "A call that looks for its own version stops at an emptied version.",
    "monotone receipts": "A version may count as received before the previous version.",
    "refused by a purge": "A call continues although it was received before a purge whose mark it reads.",
    "refused by an erasure": "A call continues although it was received before an erasure whose mark it reads.",
    "erased orders do not exist": "An order of an erased person exists for calls until it is emptied.",
    "remove the digest": "An order keeps the digest of an emptied submission.",
}


def conditions() -> dict[str, Any]:
    """The modules of all condition constants of the code, by name of the constant. Each condition is a rule, too."""
    return {
        name: module
        for module in (writes, scopes)
        for name, text in vars(module).items()
        if name.isupper() and isinstance(text, str)
    }


def without(*rules: str) -> ExitStack:
    """A context in which the conditions among `rules` are empty; the models leave out the other rules.

    Raises ValueError for an unknown rule.
    """
    if unknown := set(rules) - {*RULES, *conditions()}:
        raise ValueError(f"no such rule: {', '.join(sorted(unknown))}")
    stack = ExitStack()
    for name, module in conditions().items():
        if name in rules:
            stack.enter_context(patch.object(module, name, ""))
    return stack

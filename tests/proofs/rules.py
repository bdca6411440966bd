"""The rules that the design rests on, each with what happens in a world without it."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

from tillbook.ledger import writes
from tillbook.records import scopes

RULES = {
    # Purges and erasures
    "commit wait": "A cut is the moment at which its mark is sent, and nobody waits for it.",
    "settle": "Jobs begin while those are alive that read the marks before.",
    "newest mark": "A purge's job waits for the first mark only, and sweeps all dead generations.",
    "one reading": "A purge's job reads the mark again after it has waited, and sweeps by that.",
    "begun": "A job whose request ended before its mark was written writes the mark itself.",
    "purged again": "A purge whose mark came late, and that was not answered, is not made again by its job.",
    "heads stay": "A head with nothing left is deleted.",
    "events stay": "The events of an erased person are deleted, not emptied.",
    "emptying counts": "Emptying an order does not count as a write of its head.",
    "new token": "A person's token is a counter, which begins again with the person.",
    "current index": "The index may not list yet what was written a moment ago, when a person is forgotten.",
    # Order Activity
    "first receipt": "A copy that was received earlier does not move an event.",
    "own content": "Another content under an idempotency key is a copy.",
    "identity of the erased": "An event that an erasure takes is dropped without a trace.",
    "forget at delivery": "Whoever applies an erased event does not forget its person.",
    # Orders API
    "look back": "A call does not look for its own version after a lost answer.",
    "head before look": "A call looks for its own version before it reads the head.",
    "pass emptied": "Looking for its own version, a call stops at an emptied one.",
    "monotone receipts": "A version may count as received before the one that it follows.",
    "refused by a purge": "A call continues that was received before a purge that it sees.",
    "refused by an erasure": "A call continues that was received before an erasure that it sees.",
    "erased is gone": "An order of an erased person is there until it is emptied.",
    "digest is removed": "An order keeps the digest of a submission that was emptied.",
}


def conditions() -> dict[str, Any]:
    """Every condition of the code by the name of its constant, with the module. Each is a rule, too."""
    return {
        name: module
        for module in (writes, scopes)
        for name, text in vars(module).items()
        if name.isupper() and isinstance(text, str)
    }


def without(*rules: str) -> ExitStack:
    """A context in which the code is without those of the rules that are conditions."""
    if unknown := set(rules) - {*RULES, *conditions()}:
        raise ValueError(f"no such rule: {', '.join(sorted(unknown))}")
    stack = ExitStack()
    for name, module in conditions().items():
        if name in rules:
            stack.enter_context(patch.object(module, name, ""))
    return stack

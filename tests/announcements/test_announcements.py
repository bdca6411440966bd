"""Runs a few histories; `python -m tests.announcements --histories 20000 --seed 1` runs many."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from unittest.mock import patch

import pytest

from tests.announcements.simulate import Run, seams, simulate
from tillbook.aws.event_bus import EventBus
from tillbook.rules import times
from tillbook.views import announcements
from tillbook.work.announcing import Announcer

HISTORIES, SEED = int(os.environ.get("ANNOUNCEMENTS_HISTORIES", "100")), int(os.environ.get("SEED", "1"))


def failures(histories: int = HISTORIES) -> Iterator[str]:
    """Yields the descriptions of the histories that fail."""
    return filter(None, map(simulate, range(SEED, SEED + histories)))


def test_a_receiver_ends_with_the_stored_values_and_gets_every_event() -> None:
    assert not next(failures(), "")


def test_histories_reach_all_special_cases() -> None:
    seen: set[str] = set()
    for seed in range(40):
        run = Run(seed)
        written: list[int] = []  # the number of orders in each transaction
        with seams(run), patch.object(run.store, "transact_write_items", _counted(run, written)):
            run.run()
        ids = [one["id"] for one in run.received]
        seen |= {"repeats"} if len(ids) > len(set(ids)) else set()
        seen |= {"kills"} if run.kills else set()
        seen |= {"refused entries"} if run.refused else set()
        seen |= {"purges"} if run.purges else set()
        changes = [one["data"] for one in run.received if one["type"] == "lifetime_value.changed"]
        seen |= {"a person with several orders"} if any(c["orders_count"] > 1 for c in changes) else set()
        seen |= {"several orders in one transaction"} if any(n > 1 for n in written) else set()
        seen |= {"negative"} if any(c["after"][0] == "-" for c in changes) else set()
    assert seen == {
        "repeats", "kills", "refused entries", "purges", "a person with several orders",
        "several orders in one transaction", "negative",
    }  # fmt: skip


def _counted(run: Run, written: list[int]) -> Callable[..., Any]:
    """The store's call that writes a transaction. It also adds the transaction's number of orders to `written`."""
    write = run.store.transact_write_items

    def counted(**arguments: Any) -> Any:
        answer = write(**arguments)
        puts = [action["Put"]["Item"] for action in arguments["TransactItems"] if "Put" in action]
        written.append(sum("/h/" in item["pk"]["S"] for item in puts))  # each order has one head
        return answer

    return counted


# ------------------------------------------------------- deliberate faults


def _refusals_ignored(original: Callable[..., Any]) -> Callable[..., Any]:
    def put(self: EventBus, events: Sequence[Any]) -> list[Any]:
        original(self, events)
        return []

    return put


def _every_record_acknowledged(original: Callable[..., Any]) -> Callable[..., Any]:
    def run(self: Announcer, records: Sequence[Any], seconds: float) -> dict[str, Any]:
        original(self, records, seconds)
        return {"batchItemFailures": []}

    return run


# By description: the object and its attribute that the fault replaces, the fault, and a part of the failure's message.
FAULTS: dict[str, tuple[Any, str, Callable[[Any], Any], str]] = {
    "an event that the bus refuses is not sent again": (EventBus, "put", _refusals_ignored, "missing or out of order"),
    "every batch is acknowledged": (Announcer, "run", _every_record_acknowledged, "announced"),
    "an event that is sent again has a new id": (
        announcements, "short_hash", lambda _: lambda _text: times.uuid7(), "missing or out of order",
    ),
    # The first three lines of the hashed text are the kind of event and the person's key.
    "all changes of a person have one id": (
        announcements, "short_hash", lambda original: lambda text: original("\n".join(text.split("\n")[:3])), "one id",
    ),
    "sequences do not follow the order of the changes": (
        announcements.Image, "of",
        lambda original: lambda change: original(change)._replace(sequence=change["SequenceNumber"][::-1]),
        "missing or out of order",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_deliberate_fault_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, attribute, fault, message = FAULTS[name]
    monkeypatch.setattr(owner, attribute, fault(getattr(owner, attribute)))
    found = next(failures(60), None)
    assert found is not None, "no history failed"
    assert message in found

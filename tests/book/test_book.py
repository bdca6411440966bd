"""Runs a few histories of the book; `python -m tests.book --histories 20000` runs many."""

from __future__ import annotations

import os
from typing import Any

from tests.book.simulate import Run, seams, simulate
from tests.book.size import costs, ranked, requests_needed

HISTORIES, SEED = int(os.environ.get("BOOK_HISTORIES", "250")), int(os.environ.get("SEED", "1"))


def test_reports_equal_the_requests_in_every_history() -> None:
    """Ends at the first wrong history, so that a deliberate fault (tests/mutants) is found soon."""
    assert not next(filter(None, map(simulate, range(SEED, SEED + HISTORIES))), "")


def test_histories_reach_all_special_cases() -> None:
    """Orders that change their date or are deleted, purges, unfinished and split summaries, and emptied cards."""
    seen: set[str] = set()
    for seed in range(60):
        with seams():
            run = Run(seed)
            run.run()
        heads = [r["dynamodb"] for r in run.stream.records if "writes" in r["dynamodb"]["NewImage"]]
        dates = [(h["OldImage"].get("ordered_at"), h["NewImage"].get("ordered_at")) for h in heads if "OldImage" in h]
        seen |= {"moved" for old, new in dates if old and new and old != new}
        seen |= {"deleted" for old, new in dates if old and not new}
        seen |= {"purged" for generation in run.generations.values() if generation}
        book = run.store.tables["book"].items
        seen |= {"unfinished" for sk in run.summaries if "/unfinished/" in sk}
        seen |= {"parts" for sk in run.summaries if sk.endswith("/001")}
        seen |= {
            "empty card" for (pk, _), item in book.items() if "/cards/" in pk and set(item) == {"pk", "sk", "writes"}
        }
    assert seen == {"moved", "deleted", "purged", "unfinished", "parts", "empty card"}


def test_a_seed_always_gives_the_same_history() -> None:
    def keys_of_cards() -> list[Any]:
        with seams():
            run = Run(7)
            run.run()
        return sorted(key for key in run.store.tables["book"].items if "/cards/" in key[0])

    assert keys_of_cards() == keys_of_cards()


def test_a_later_report_reads_only_sums_and_the_cards_of_changed_days() -> None:
    """The orders are of three years; the first report sums up every day."""
    found = {cost.name: cost for cost in costs(3000, 2000)}
    first_size, second_size = (found[f"the size of an audience, {time} time"] for time in ("first", "second"))
    first_report, second_report = (found[f"a report of three years, {time} time"] for time in ("first", "second"))
    later_size = found["the size of an audience, after an order of the flood changed"]
    later_report = found["a report of three years, after an order of the flood changed"]
    assert first_size.calls > 1000
    assert (second_size.calls, second_size.writes) == (2, 0)
    assert first_report.calls > 1000
    assert (second_report.calls, second_report.writes) == (4, 0)
    # The 2,000 cards of the changed day take fewer than 400 read units.
    assert later_size.calls < 10
    assert later_size.reads < second_size.reads + 400
    assert later_report.calls < 20
    assert later_report.reads < second_report.reads + 400
    assert found["200 orders in the order of their dates"].calls <= 10


def test_the_first_report_of_a_flood_continues_until_it_is_complete() -> None:
    assert requests_needed(12_000) == 3  # each counts 5,500 cards at most


def test_a_list_of_people_is_made_from_the_stored_sums_of_days() -> None:
    (answer,) = ranked(20_000)
    assert answer.writes == 0
    assert answer.reads < 400

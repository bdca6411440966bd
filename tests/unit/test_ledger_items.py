"""The keys of the ledger's items."""

from __future__ import annotations

import pytest

from tillbook.ledger.items import Scope

SCOPE = Scope("acme", "shopper_activity", 3)


@pytest.mark.parametrize("parts", [1, 2, 3, 8, 16, 50])
def test_the_parts_of_a_scope_share_all_its_partitions(parts: int) -> None:
    shared = [partition for part in range(parts) for partition in SCOPE.partitions(part, parts)]
    assert sorted(shared) == sorted(SCOPE.partitions())
    assert len(set(shared)) == len(shared)


def test_the_partitions_of_a_scope_include_those_of_all_people() -> None:
    assert {SCOPE.people(number) for number in range(256)} <= set(SCOPE.partitions())

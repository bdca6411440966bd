"""The keys of the ledger's items."""

from __future__ import annotations

import pytest

from tillbook.ledger.items import Scope

SCOPE = Scope("acme", "shopper_activity", 3)


@pytest.mark.parametrize("parts", [1, 2, 3, 8, 16, 50])
def test_each_partition_of_a_scope_is_in_exactly_one_of_its_parts(parts: int) -> None:
    found = [partition for part in range(parts) for partition in SCOPE.partitions(part, parts)]
    assert sorted(found) == sorted(SCOPE.partitions())
    assert len(set(found)) == len(found)


def test_the_partitions_of_a_scope_include_those_of_all_people() -> None:
    assert {SCOPE.people(number) for number in range(256)} <= set(SCOPE.partitions())

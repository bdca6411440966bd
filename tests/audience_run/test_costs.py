"""Costs of audiences do not grow with the account; `python -m tests.audience_run.costs` measures larger accounts."""

from __future__ import annotations

from tests.audience_run import costs


def test_costs_do_not_grow_with_the_account() -> None:
    found = costs.grown((100, 3_000))
    for name in costs.NAMES:
        values = [getattr(c, name) for c in found.values()]
        assert costs.spread(values) <= costs.TOLERANCE, (name, values)


def test_sizes_and_units_are_counted_as_by_dynamodb() -> None:
    assert costs.size({"pk": {"S": "é"}}) == 2 + 2
    assert costs.size({"n": {"N": "27"}, "m": {"N": "-27"}}) == (1 + 2) + (1 + 3)  # the minus is a byte
    assert costs.size({"b": {"BOOL": True}, "z": {"B": b"abc"}}) == (1 + 1) + (1 + 3)
    assert costs.read_units(4097, consistent=True) == 2
    assert costs.read_units(0, consistent=False) == 0.5
    assert costs.write_units({"b": {"B": b"x" * 1024}}, None) == 2
    assert costs.write_units(None) == costs.write_units(None, None) == costs.write_units({"b": {"BOOL": True}}) == 1

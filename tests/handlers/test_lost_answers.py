"""A v1 write takes effect but its answer is lost: the function finds the write, and does not repeat it."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from tests.handlers.events import EMAIL
from tests.handlers.shop import Answer, Shop

ORDER = {"order_id": "o-1", "order_date": "2019-09-05", "customer_email": EMAIL, "total": 100}


@pytest.fixture
def lose_answer(shop: Shop) -> Callable[[Callable[[], Answer]], Answer]:
    """A function that makes a request and loses the answer of its first transaction, which takes effect."""

    def call(request: Callable[[], Answer]) -> Answer:
        lost = []

        def intercept(_index: int, operation: str, _arguments: dict[str, Any], go: Callable[[], Any]) -> Any:
            answer = go()
            if operation == "TransactWriteItems" and not lost:
                lost.append(operation)
                raise ReadTimeoutError(endpoint_url="https://dynamodb")
            return answer

        with shop.faults.injected(intercept):
            answer = request()
        assert lost
        return answer

    return call


def ltv(shop: Shop) -> set[Decimal]:
    """The stored lifetime values of all people from v1 orders in USD."""
    return {value for name, value in shop.stored_ltv().items() if name.endswith("/o.USD")}


def test_a_submission_whose_answer_was_lost_counts_once(shop: Shop, lose_answer: Any) -> None:
    answer = lose_answer(lambda: shop.submit(ORDER))
    assert answer.status == 201
    assert ltv(shop) == {Decimal(100)}
    assert shop.submit(ORDER).body == answer.body


def test_an_edit_whose_answer_was_lost_counts_once(shop: Shop, lose_answer: Any) -> None:
    shop.submit(ORDER)
    answer = lose_answer(lambda: shop.edit("o-1", {"total": 30}))
    assert (answer.status, answer.body["total"]) == (200, "30.0")
    assert ltv(shop) == {Decimal(30)}


def test_a_delete_whose_answer_was_lost_counts_once(shop: Shop, lose_answer: Any) -> None:
    shop.submit(ORDER)
    answer = lose_answer(lambda: shop.delete("o-1"))
    assert (answer.status, answer.body["total"]) == (200, "100.0")
    assert ltv(shop) == set()
    assert shop.delete("o-1").status == 404

"""Log lines and metrics of the order routes: lines name no person, and refusals are counted by reason."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from tests.handlers.events import EMAIL, SHA, event
from tests.handlers.shop import ACCOUNT, INGEST, Shop
from tillbook.rules import errors
from tillbook.web import endpoint

V1 = {"order_id": "v-1", "order_date": "2026-01-20", "total": 5, "customer_email": EMAIL, "customer_id": "customer-77"}


class Reported:
    """The metrics that were counted and the log lines that were printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.metrics: Counter[str] = Counter()
        self._capsys, self._lines = capsys, list[dict[str, Any]]()

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Log lines without metrics."""
        found = map(json.loads, self._capsys.readouterr().out.splitlines())
        self._lines += [line for line in found if "_aws" not in line]
        return self._lines

    def count(self, name: str, value: int = 1) -> None:
        self.metrics[name] += value


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Reported:
    reported = Reported(capsys)
    monkeypatch.setattr(endpoint, "count", reported.count)
    return reported


def test_a_log_line_has_request_account_and_order(shop: Shop, reported: Reported) -> None:
    shop.submit(V1, key=INGEST)
    shop.edit("v-1", {"total": 6}, key=INGEST)
    shop.delete("v-1", key=INGEST)
    answer = shop.send(event(order_id="s-1"), key=INGEST)
    batch = shop.send_batch([event(order_id=f"s-{n}") for n in range(3)], key=INGEST)
    assert [line["order_id"] for line in reported.lines if "order_id" in line] == ["v-1", "v-1", "v-1", "s-1"]
    assert {line["account"] for line in reported.lines} == {ACCOUNT}
    assert len({line["request_id"] for line in reported.lines}) == 5
    # `order_request`: the id that the sender of an activity gets, and that identifies it in the queue.
    assert reported.lines[3]["order_request"] == answer.body["request_id"]
    assert (reported.lines[4]["orders"], reported.lines[4]["order_request"]) == (3, batch.body["request_ids"][0])


@pytest.mark.parametrize("order_id", [EMAIL, f"for {EMAIL}", f"{EMAIL}-1"])
def test_no_log_line_names_a_person(shop: Shop, reported: Reported, order_id: str) -> None:
    shop.submit(V1 | {"order_id": order_id}, key=INGEST)
    shop.send(event(order_id=order_id, person_id="person-77", customer_id="customer-77"), key=INGEST)
    shop.send(event(order_id=order_id, grand_total="much"), key=INGEST)
    shop.get(f"/v3/{ACCOUNT}/people/{EMAIL}")
    text = json.dumps(reported.lines)
    assert len(reported.lines) == 4
    assert not [word for word in (EMAIL, "user@", SHA, "person-77", "customer-77") if word in text]


def test_refusals_are_counted_by_reason(shop: Shop, reported: Reported) -> None:
    shop.submit(V1, key=INGEST)
    shop.send(event(), key=INGEST)
    assert (reported.metrics["Accepted"], reported.metrics["Rejected"]) == (2, 0)
    refused = {
        "Conflict": lambda: shop.submit(V1 | {"total": 7}, key=INGEST),
        "Invalid": lambda: shop.send(event(grand_total="much"), key=INGEST),
        "Malformed": lambda: shop.send("{", key=INGEST),
        "NotFound": lambda: shop.edit("nothing", {"total": 1}, key=INGEST),
        "TooLarge": lambda: shop.send(event(note="x" * 300_000), key=INGEST),
        "UnsupportedType": lambda: shop.send(event(), key=INGEST, headers={"content-type": "text/csv"}),
    }
    for number, (reason, call) in enumerate(refused.items(), 1):
        assert 400 <= call().status < 500
        assert reported.metrics[f"Rejected{reason}"] == 1, reason
        assert reported.metrics["Rejected"] == number
    # Requests without a valid key, reads, and failures of the server do not count as refused orders.
    shop.submit(V1, key="wrong")
    shop.get("/v1/order/nothing")

    def unavailable(*_: Any) -> Any:
        raise errors.Unavailable("not now")

    with shop.faults.injected(unavailable):
        assert shop.delete("v-1", key=INGEST).status == 503
    metrics = [reported.metrics[name] for name in ("Unauthorized", "Rejected", "Accepted")]
    assert metrics == [1, len(refused), 2]

"""drip-nodejs 3.1.4, unmodified except for its base URL. It sends the key without a colon, and JSON uncompressed."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.shop import Shop

NODE = shutil.which("node")
FOLDER = Path(__file__).parent / "node"
INSTALLED = FOLDER / "node_modules" / "drip-nodejs" / "package.json"

pytestmark = [
    pytest.mark.stack,
    pytest.mark.node,
    pytest.mark.skipif(NODE is None, reason="drip-nodejs was not tested: there is no Node.js on this machine"),
    pytest.mark.skipif(
        not INSTALLED.exists(),
        reason="drip-nodejs was not tested: it is not installed (cd tests/clients/node && npm ci)",
    ),
]

Ask = Callable[[str, Any], dict[str, Any]]


@pytest.fixture
def email(shop: Shop) -> str:
    return shop.email("no+de")


@pytest.fixture
def ask(shop: Shop, email: str) -> Iterator[Ask]:
    """Runs the client with a key that may send and read. Returns the function of `running_client`."""
    with running_client(shop, shop.admin_key, email) as ask:
        yield ask


@contextmanager
def running_client(shop: Shop, key: str, email: str) -> Iterator[Ask]:
    """Runs the client with this key. Yields a function that has it send a request, and returns the answer it got."""
    assert NODE
    with subprocess.Popen(
        [NODE, "drive.js", shop.stack.url, shop.account, key, email],
        cwd=FOLDER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdin
        assert process.stdout
        sent, received = process.stdin, process.stdout

        def ask(command: str, value: Any) -> dict[str, Any]:
            sent.write(json.dumps({"command": command, "value": value}) + "\n")
            sent.flush()
            return dict(json.loads(received.readline()))

        yield ask
        sent.close()
        assert process.wait(120) == 0


def test_the_installed_version_is_the_documented_one() -> None:
    assert json.loads(INSTALLED.read_text())["version"] == "3.1.4"


def test_an_order_and_a_refund_change_the_lifetime_value(shop: Shop, email: str, ask: Ask) -> None:
    order = {"action": "placed", "order_id": "N-1", "grand_total": 22.99, "occurred_at": "2019-01-17T20:50:00Z"}
    placed = ask("order", order)
    assert (placed["ok"], placed["status"]) == (True, 202)
    assert shop.outcome(placed["body"]["request_id"])["status"] == "applied"
    fetched = ask("subscriber", email)
    assert fetched["status"] == 200
    [subscriber] = fetched["body"]["subscribers"]
    assert (subscriber["email"], subscriber["lifetime_value"]) == (email, 2299)

    refunded = ask("order", {"action": "refunded", "order_id": "N-1", "refund_amount": 20})
    assert shop.outcome(refunded["body"]["request_id"])["status"] == "applied"
    for command in ("subscriber", "subscriberByCallback"):
        assert ask(command, subscriber["id"])["body"]["subscribers"][0]["lifetime_value"] == 299
    assert [entry["name"] for entry in shop.activity(email)] == ["Refunded an order", "Placed an order"]


def test_an_invalid_order_is_rejected_with_every_fault(shop: Shop, ask: Ask) -> None:
    reply = ask("order", {"action": "bought", "order_id": "N-2", "email": "nobody"})
    assert (reply["ok"], reply["status"]) == (False, 422)
    assert [(error["code"], error["attribute"]) for error in reply["body"]["errors"]] == [
        ("email_error", "email"),
        ("format_error", "action"),
    ]


def test_an_unknown_subscriber_is_not_found(shop: Shop, ask: Ask) -> None:
    assert ask("subscriber", shop.email("nobody"))["status"] == 404


def test_a_valid_batch_is_applied_and_one_with_an_invalid_order_is_refused(shop: Shop, email: str, ask: Ask) -> None:
    orders = [{"action": "placed", "order_id": f"N-{n}", "grand_total": 0.1} for n in range(150)]
    reply = ask("batch", orders)
    assert (reply["ok"], reply["status"]) == (True, 202)
    assert set(shop.outcomes(reply["body"]["request_ids"])) == {"applied"}
    assert ask("subscriber", email)["body"]["subscribers"][0]["lifetime_value"] == 1500  # cents: 150 orders of 0.10

    reply = ask("batch", [*orders[:3], {"action": "placed", "order_id": ""}])
    assert (reply["ok"], reply["status"]) == (False, 422)
    assert [error["attribute"] for error in reply["body"]["errors"]] == ["orders[3].order_id"]


def test_a_key_with_a_trailing_newline_is_accepted(shop: Shop, email: str) -> None:
    with running_client(shop, f"{shop.admin_key}\n", email) as ask:
        assert ask("order", {"action": "placed", "order_id": "N-3"})["status"] == 202


def test_an_unknown_key_is_rejected(shop: Shop, email: str) -> None:
    with running_client(shop, "unknown", email) as ask:
        reply = ask("order", {"action": "placed", "order_id": "N-4"})
        assert (reply["ok"], reply["status"]) == (False, 401)
        assert reply["body"]["errors"][0]["code"] == "authentication_error"

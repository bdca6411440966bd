"""Connections as an admin sees them: the URL for the platform, the last delivery, and whether the connection works."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tillbook.contract.platforms.signatures import PLATFORMS
from tillbook.records.connections import Connection, Connections
from tillbook.records.last_deliveries import LastDelivery
from tillbook.records.outcomes import Outcome, Outcomes
from tillbook.rules import times
from tillbook.rules.json_text import Json

SETUP = {
    "woocommerce": "In WooCommerce: Settings > Advanced > Webhooks, one webhook for each of Order created, Order "
    "updated, Order deleted and Order restored, with this delivery URL and secret.",
    "shopify": "In Shopify: Settings > Notifications > Webhooks, one webhook for each of Order creation, Order update, "
    "Order cancellation and Order deletion, in JSON, with this URL.",
}


@dataclass(frozen=True)
class ConnectionViews:
    """Shows connections. `base` is the URL of the API."""

    connections: Connections
    outcomes: Outcomes
    base: str

    def all(self, account: str) -> list[Json]:
        known = self.connections.last.of(account)
        return [self._shown(one, known.get(one.name)) for one in self.connections.of(account)]

    def one(self, connection: Connection) -> Json:
        return self._shown(connection, self.connections.last.of(connection.account).get(connection.name))

    def with_secret(self, connection: Connection, secret: str) -> Json:
        """A connection whose secret was just set, with the secret if Tillbook generated it. No later answer has it."""
        derived = PLATFORMS[connection.platform].derived
        shown: Json = self.one(connection) | {"secret": secret if derived else None}
        return shown | {"setup": SETUP[connection.platform]}

    def _shown(self, connection: Connection, last: LastDelivery | None) -> Json:
        last = last or LastDelivery()
        # A delivery before the connection was created belongs to an earlier connection of the same name.
        if last.received and times.iso(last.received)[:19] < connection.created[:19]:
            last = LastDelivery()
        outcome = self._outcome(connection, last)
        return {
            "name": connection.name,
            "platform": connection.platform,
            "provider": connection.provider,
            "url": url_of(self.base, connection),
            "created_at": connection.created,
            "both_valid_until": overlap_of(connection),
            "last_delivery": _delivery(last, outcome) if last.received else None,
            "last_refused_at": times.iso(last.refused) if last.refused else None,
            "check": _check(connection, last, outcome, lambda: self.connections.has_secret(connection)),
        }

    def _outcome(self, connection: Connection, last: LastDelivery) -> Outcome | None:
        return self.outcomes.find(connection.account, "shopper_activity", last.request) if last.request else None


def url_of(base: str, connection: Connection) -> str:
    return f"{base}/connect/{connection.account}/{connection.name}"


def overlap_of(connection: Connection) -> str | None:
    """The time until which the old secret is valid; None if it no longer is."""
    return times.iso(connection.overlap)[:19] + "Z" if connection.overlap > times.now() else None


def _delivery(last: LastDelivery, outcome: Outcome | None) -> Json:
    became: Json = None
    if last.request:
        became = {"status": outcome.status if outcome else "queued", "reason": (outcome and outcome.reason) or None}
    return {
        "received_at": times.iso(last.received),
        "result": last.result,
        "reason": last.reason or None,
        "request_id": last.request or None,
        "outcome": became,
    }


def _check(connection: Connection, last: LastDelivery, outcome: Outcome | None, has_secret: Callable[[], bool]) -> Json:
    """The connection's state as far as it is known without calling the shop. The first problem found is shown."""
    status, code, message = "ok", "receiving", "The last delivery was accepted."
    if not has_secret():
        status, code = "problem", "no_secret"
        message = "The secret is missing, so every delivery is refused. Rotate it, and enter the new one in the shop."
    elif last.refused > last.received:
        status, code = "problem", "wrong_signature"
        message = (
            "The last delivery had a wrong signature: the shop has another secret. Rotate the secret, and enter the "
            "new one in the shop."
        )
    elif not last.received:
        status, code = "waiting", "never_received"
        message = "Nothing has been received. Save the webhook in the shop, then change or create an order there."
    elif last.result == "rejected":
        status, code = "problem", "rejected"
        message = f"The last delivery was rejected: {last.reason}"
    elif outcome is not None and outcome.status == "failed":
        status, code = "problem", "failed"
        message = f"The last delivery was accepted, but its order could not be applied: {outcome.reason}"
    elif last.result == "ignored":
        message = f"The last delivery was genuine, but has no order to count: {last.reason}"
    return {"status": status, "code": code, "message": message}

"""The attacked account, its routes, and one request with the answers that the contract allows."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from itertools import zip_longest
from urllib.parse import quote

from tests.handlers import template
from tests.hostile.payloads import Fault

ORDER_LIMIT, BATCH_LIMIT = 256 * 1024, 4 * 1024 * 1024  # bytes
AUDIENCE = "customers-orders-api"


@dataclass(frozen=True)
class Shop:
    """The target of the requests: an account with its keys, a key of another account, and an existing order."""

    account: str
    ingest: str
    admin: str
    order_id: str
    other_admin: str = ""
    revoked: str = ""


@dataclass(frozen=True)
class Attack:
    """One request as it is sent, and the expected answer.

    `faults`: the answer must name exactly these fields, in v3 with their codes; None: its fields are not compared.
    `recorded`: the rejection must be recorded. `gateway`: the gateway may refuse the request first, with its own text.
    `what`: describes the attack.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: bytes | None
    statuses: frozenset[int]
    what: str
    faults: tuple[Fault, ...] | None = None
    recorded: bool = False
    gateway: bool = False

    @property
    def v1(self) -> bool:
        return self.path.startswith("/v1/")


@dataclass(frozen=True)
class Route:
    """A route of template.yaml. `key` is its method and its pattern, as in `GET /v1/jobs/{job_id}`."""

    key: str
    method: str = field(init=False)
    pattern: str = field(init=False)

    def __post_init__(self) -> None:
        method, _, pattern = self.key.partition(" ")
        object.__setattr__(self, "method", method)
        object.__setattr__(self, "pattern", pattern)

    @property
    def v1(self) -> bool:
        return self.pattern.startswith("/v1/")

    @property
    def ingest(self) -> bool:
        """Whether an ingest key may use the route. Its rejections are recorded."""
        return self.key in _INGEST

    def matches(self, other: Route) -> bool:
        """Whether the pattern matches the paths of `other`, as /v1/deadletters/{id} matches /v1/deadletters/count."""
        pairs = list(zip_longest(self.pattern.split("/"), other.pattern.split("/")))
        return all(mine == theirs or bool(theirs and mine and mine.startswith("{")) for mine, theirs in pairs)

    def path(self, shop: Shop, **parameters: str) -> str:
        """The path with these percent-encoded parameters. By default, its order and audience exist; its other ids do
        not."""
        known = {
            "account_id": shop.account, "order_id": quote(shop.order_id, safe=""), "audience_id": AUDIENCE,
            "job_id": UNKNOWN_ID, "deadletter_id": UNKNOWN_ID, "request_id": UNKNOWN_ID, "id_or_email": "nobody",
            "provider": "my_shop", "key_id": "0123456789ab", "connection": "nowhere",
        } | parameters  # fmt: skip
        out = self.pattern
        for name, value in known.items():
            out = out.replace("{" + name + "}", value)
        return out


UNKNOWN_ID = "01890000-0000-4000-8000-000000000000"
_INGEST = {
    "POST /v1/order", "POST /v1/order/{order_id}", "DELETE /v1/order/{order_id}",
    "POST /v3/{account_id}/shopper_activity/order", "POST /v3/{account_id}/shopper_activity/order/batch",
}  # fmt: skip
# Routes without a key, which are not attacked here.
_PUBLIC = {"GET /openapi.json", "GET /", "GET /page/{file}", "POST /connect/{account_id}/{connection}"}


# Routes that read a body, with its maximum size in bytes.
BODY_LIMITS = {
    "POST /v1/order": ORDER_LIMIT, "POST /v1/order/{order_id}": ORDER_LIMIT,
    "POST /v3/{account_id}/shopper_activity/order": ORDER_LIMIT,
    "POST /v3/{account_id}/shopper_activity/order/batch": BATCH_LIMIT,
    "POST /v1/audience/{audience_id}/match": BATCH_LIMIT, "DELETE /v1/transactions": ORDER_LIMIT,
    "DELETE /v1/deadletters/{deadletter_id}": ORDER_LIMIT, "PATCH /v1/account": ORDER_LIMIT,
    "POST /v1/keys": ORDER_LIMIT, "POST /v1/connections": ORDER_LIMIT,
}  # fmt: skip


@cache
def routes() -> list[Route]:
    """The routes that are attacked: all that need a key."""
    return [Route(key) for key in template.named_routes() if key not in _PUBLIC]

"""A shop sends orders to the local stack by both APIs, edits and deletes some, and starts rebuilds meanwhile.

The expected audiences are computed here from the accepted requests, without the code under test.
"""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.end_to_end.shop import Reply, Shop

V1, V3 = "customers-orders-api", "customers-shopper-activity"
LINES = ("company", "address_1", "address_2", "city", "state", "postal_code", "country")
LANES = 4  # threads that send orders
SETTLED_SECONDS = 240  # the most that the run waits for the queue and the rebuilds
_STREETS = [f"{name} {suffix}" for name in ("Main", "Oak", "Elm") for suffix in ("St", "Ave")]
ACTIONS = ("updated", "paid", "fulfilled", "refunded", "canceled")

Body = dict[str, Any]
Record = tuple[tuple[str, str | None], ...]


class Sent:
    """The accepted requests: the current bodies of v1 orders, and the events of each v3 order."""

    def __init__(self) -> None:
        self.orders: dict[str, Body] = {}
        self.events: dict[str, list[Body]] = {}

    def expected(self) -> dict[str, list[Record]]:
        """The expected records of each audience, sorted by their text."""
        v1 = [r for n, body in self.orders.items() for r in _records(n, body, body.get("customer_id"))]
        v3 = []
        for number, events in self.events.items():
            merged: Body = {}
            for event in sorted(events, key=lambda e: e["occurred_at"]):
                merged = merged | {k: v for k, v in event.items() if v is not None}
            # The latest event alone names the person, even if only an earlier one has a person_id.
            who = max(events, key=lambda e: e["occurred_at"])
            merged["customer_email"], merged["person_id"] = who.get("email"), who.get("person_id")
            v3 += _records(number, merged, None)
        return {V1: sorted(v1, key=str), V3: sorted(v3, key=str)}


def _records(number: str, body: Body, customer_id: str | None) -> list[Record]:
    """A record for each address of an order; for an order without an address, one record of the kind `person`."""
    email, person_id = body.get("customer_email"), body.get("person_id")
    who = {
        "order_id": number,
        "customer_id": customer_id,
        "person_id": person_id,
        "email_sha256": hashlib.sha256(email.strip().lower().encode()).hexdigest() if email and not person_id else None,
    }
    found = []
    for kind in ("shipping", "billing"):
        address = body.get(f"{kind}_address")
        if address:
            found.append(who | {"kind": kind, "name": _name(address)} | {line: address.get(line) for line in LINES})
    found = found or [who | {"kind": "person", "name": None} | dict.fromkeys(LINES)]
    return [tuple(sorted(record.items())) for record in found]


def _name(address: Body) -> str | None:
    return address.get("name") or f"{address.get('first_name', '')} {address.get('last_name', '')}".strip() or None


class Mismatch(AssertionError):
    """The audiences differ from the accepted requests, or an answer is not the expected one."""


class Run:
    """One shop, one seed. `progress` is called with 1 after each order, whose events may still wait for a batch."""

    def __init__(self, shop: Shop, orders: int, seed: int, progress: Callable[[int], None] = lambda n: None) -> None:
        self.shop, self.count, self.seed, self.progress = shop, orders, seed, progress
        self.sent = Sent()
        self.jobs: list[str] = []
        self._lock = threading.Lock()

    def run(self) -> dict[str, int]:
        """Returns the number of v3 events, and of members of each audience. Raises Mismatch at the first difference."""
        lanes = range(LANES)
        with ThreadPoolExecutor(LANES + 1) as threads:
            work = [threads.submit(self._lane, lane) for lane in lanes]
            rebuilds = threads.submit(self._rebuild_meanwhile)
            for part in work:
                part.result()
            rebuilds.result()
        self._settle()
        found = self._compare()
        self._matches()
        for job in self.jobs:
            answer = self._ok(self.shop.send("GET", f"/v1/jobs/{job}"), 200).json
            if answer["status"] != "done":
                raise Mismatch(f"a rebuild ended as {answer}")
        return found

    # ------------------------------------------------------------------ sending

    def _lane(self, lane: int) -> None:
        """Sends the orders of this lane, about half of them by v1. No other lane changes these orders."""
        chance = random.Random(f"{self.seed}/{lane}")
        numbers = [f"{lane}-{n}" for n in range(lane, self.count, LANES)]
        waiting: list[Body] = []
        for number in numbers:
            if chance.random() < 0.5:
                self._v1(number, chance)
            else:
                waiting += self._v3(number, chance)
                # Events wait for later batches and are shuffled, so they arrive out of order.
                chance.shuffle(waiting)
                if len(waiting) >= chance.choice((1, 20, 60)):
                    self._batch(waiting)
                    waiting = []
            self.progress(1)
        if waiting:
            self._batch(waiting)

    def _v1(self, number: str, chance: random.Random) -> None:
        """Submits an order, sometimes twice. May edit an order of the lane, delete one, and submit that one again."""
        body = self._body(number, chance)
        self._ok(self.shop.submit(body), 201)
        self._expect(number, body)
        if chance.random() < 0.1:
            self._ok(self.shop.submit(body), 201)  # a repeat
        of_lane = sorted(n for n in list(self.sent.orders) if n.split("-")[0] == number.split("-")[0])
        if chance.random() < 0.35:
            which = chance.choice(of_lane)
            change: Body = {}
            for kind in ("shipping_address", "billing_address"):
                if chance.random() < 0.5:
                    change[kind] = chance.choice([None, self._address(chance)])
            if chance.random() < 0.3:
                change["customer_email"] = self._email(chance)
            self._ok(self.shop.edit(which, change), 200)
            self._expect(which, self.sent.orders[which] | change)
        if chance.random() < 0.15:
            which = chance.choice(of_lane)
            self._ok(self.shop.delete(which), 200)
            with self._lock:
                del self.sent.orders[which]
            if chance.random() < 0.3:
                again = self._body(which, chance)
                self._ok(self.shop.submit(again), 201)
                self._expect(which, again)

    def _body(self, number: str, chance: random.Random) -> Body:
        body: Body = {
            "order_id": number, "order_date": "2026-11-01", "total": chance.randrange(10_000) / 100,
            "customer_email": self._email(chance),
        }  # fmt: skip
        if chance.random() < 0.5:
            body["customer_id"] = f"c{chance.randrange(500)}"
        return body | self._addresses(chance, v1=True)

    def _v3(self, number: str, chance: random.Random) -> list[Body]:
        """The events to send for a new order, each a second after the previous one; one of them may be repeated.

        The first event and some later ones may have addresses.
        """
        start, events = chance.randrange(80_000), []
        for place in range(chance.choice((1, 1, 2, 3))):
            action = "placed" if not place else chance.choice(ACTIONS)
            seconds = start + place
            moment = f"2026-11-01T{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}Z"
            event: Body = {"provider": "shop", "order_id": number, "action": action, "occurred_at": moment}
            if action == "refunded":
                event["refund_amount"] = chance.randrange(100)
            elif chance.random() < 0.7:
                event["grand_total"] = chance.randrange(10_000) / 100
            if chance.random() < 0.15:
                event["person_id"] = f"p{chance.randrange(300)}"
            else:
                event["email"] = self._email(chance)
            if not place or chance.random() < 0.3:
                event |= self._addresses(chance, v1=False)
            events.append(event)
        with self._lock:
            self.sent.events[number] = events
        return events + ([chance.choice(events)] if chance.random() < 0.1 else [])

    def _batch(self, events: list[Body]) -> None:
        self._ok(self.shop.batch(events), 202)

    def _addresses(self, chance: random.Random, *, v1: bool) -> Body:
        which = chance.choice(((), ("shipping",), ("billing",), ("shipping", "billing"), ("shipping", "billing")))
        found = {f"{kind}_address": self._address(chance, v1=v1) for kind in which}
        if len(found) == 2 and chance.random() < 0.4:
            found["billing_address"] = found["shipping_address"]
        return found

    def _address(self, chance: random.Random, *, v1: bool = True) -> Body:
        address: Body = {
            "address_1": f"{chance.randrange(1, 900)} {chance.choice(_STREETS)}",
            "city": "Town", "state": "CA", "postal_code": f"{chance.randrange(10_000, 10_300)}", "country": "USA",
        }  # fmt: skip
        if chance.random() < 0.4:
            address["address_2"] = f"Apt {chance.randrange(1, 40)}"
        return address | ({"name": "Ann Lee"} if v1 else {"first_name": "Ann", "last_name": "Lee"})

    def _email(self, chance: random.Random) -> str:
        return self.shop.email(f"c{chance.randrange(self.count)}")

    def _expect(self, number: str, body: Body) -> None:
        with self._lock:
            self.sent.orders[number] = {k: v for k, v in body.items() if v is not None}

    def _rebuild_meanwhile(self) -> None:
        """Rebuilds both audiences twice while orders are sent: at 2/7 and at 4/7 of their number."""
        end = time.monotonic() + SETTLED_SECONDS * 5
        for part in (1, 2):
            # Deleted orders are not counted, so the count may never reach the number of all orders.
            while len(self.sent.orders) + len(self.sent.events) < self.count * part / 3.5:
                if time.monotonic() > end:
                    raise Mismatch("the orders are sent too slowly")
                time.sleep(0.1)
            for audience in (V1, V3):
                self.jobs.append(
                    self._ok(self.shop.send("POST", f"/v1/audience/{audience}/rebuild"), 202).json["job_id"]
                )

    # ---------------------------------------------------------------- comparing

    def _settle(self) -> None:
        """Waits until every accepted v3 event is applied and the rebuilds are done."""
        expected = {a: len(records) for a, records in self.sent.expected().items()}
        end = time.monotonic() + SETTLED_SECONDS
        while time.monotonic() < end:
            counts = {a["id"]: a["member_count"] for a in self._ok(self.shop.send("GET", "/v1/audiences"), 200).json}
            states = {self.shop.send("GET", f"/v1/jobs/{job}").json["status"] for job in self.jobs}
            # Right counts do not prove that every event is applied: a changed address changes no count.
            if counts == expected and states <= {"done", "failed"} and self._queue_is_empty():
                return
            time.sleep(0.3)
        raise Mismatch(f"after {SETTLED_SECONDS} s: {counts}, expected {expected}; rebuilds {states}")

    def _queue_is_empty(self) -> bool:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        client, url = self.shop.stack.boto3_client("sqs"), self.shop.stack.outputs["OrdersQueueUrl"]
        found = client.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return all(found[name] == "0" for name in names)

    def members(self, audience: str, limit: int = 200) -> list[Body]:
        found: list[Body] = []
        cursor = ""
        while True:
            page = self._ok(self.shop.send("GET", f"/v1/audience/{audience}?limit={limit}{cursor}"), 200).json
            found += page["members"]
            if page["next_cursor"] is None:
                return found
            cursor = f"&cursor={page['next_cursor']}"

    def _compare(self) -> dict[str, int]:
        counts = {a["id"]: a["member_count"] for a in self._ok(self.shop.send("GET", "/v1/audiences"), 200).json}
        for audience, expected in self.sent.expected().items():
            found = []
            for record in self.members(audience):
                if not str(record.pop("added_at", "")).endswith("Z"):
                    raise Mismatch(f"{record} has no added_at")
                found.append(tuple(sorted(record.items())))
            found.sort(key=str)
            if found != expected:
                missing = [r for r in expected if r not in found][:3]
                wrong = [r for r in found if r not in expected][:3]
                raise Mismatch(
                    f"{audience}: {len(found)} records, expected {len(expected)}; missing {missing}; wrong {wrong}"
                )
            if counts[audience] != len(expected):
                raise Mismatch(f"{audience}: member_count is {counts[audience]}, not {len(expected)}")
        return {"events": sum(map(len, self.sent.events.values())), **counts}

    def _matches(self) -> None:
        """Matches people who ordered, in other spellings, and people who did not."""
        chance = random.Random(f"{self.seed}/match")
        for audience, expected in self.sent.expected().items():
            doors = {(r["address_1"], r["address_2"], r["postal_code"]) for r in map(dict, expected) if r["address_1"]}
            hashes = {r["email_sha256"] for r in map(dict, expected)}
            people: list[tuple[Body, bool]] = []
            for address_1, address_2, code in chance.sample(sorted(doors, key=str), min(40, len(doors))):
                line = f"{address_1} {address_2 or ''}".upper().replace("APT", "unit").replace(" ST", " street")
                people.append(({"address": {"address_1": line, "postal_code": f"{code}-0001"}}, True))
                other = (address_1, f"Apt {chance.randrange(1, 40)}", code)
                people.append(
                    (
                        {"address": dict(zip(("address_1", "address_2", "postal_code"), other, strict=True))},
                        other in doors,
                    )
                )
            for n in chance.sample(range(self.count), min(40, self.count)):
                email = self.shop.email(f"c{n}")
                people.append(({"email": email}, hashlib.sha256(email.encode()).hexdigest() in hashes))
            body = {"people": [person for person, _ in people]}
            results = self._ok(self.shop.send("POST", f"/v1/audience/{audience}/match", body), 200).json["results"]
            for (person, wanted), result in zip(people, results, strict=True):
                if result["customer"] is not wanted:
                    raise Mismatch(f"{audience}: {person} is {result}, expected {wanted}")

    def _ok(self, reply: Reply, status: int) -> Reply:
        """Returns the reply. Raises Mismatch unless it has this status."""
        if reply.status != status:
            raise Mismatch(f"{reply.status} {reply.text[:500]}, expected {status}")
        return reply

"""What must stand in the ledger, computed from what was sent; and whether a snapshot of it adds up.

Nothing here uses the package's rules: only the names under which it keeps things (tillbook.ledger.table).
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tests.concurrency.workload import PROVIDER, Change, Event
from tillbook.ledger import table

V1, V3 = "orders_api", "shopper_activity"
Item = dict[str, Any]
Person = tuple[str, str]  # kind, value
_SOURCES = {letter: source for source, letter in table.SOURCE_LETTER.items()}
_CENT = Decimal("0.0001")


@dataclass(frozen=True)
class Order:
    """As it must end. `currency` None is the account's. `records` in its audience."""

    person: Person | None
    currency: str | None
    amount: Decimal
    records: int


@dataclass(frozen=True)
class Answer:
    """Of a v1 call: `status` as the handler would answer, `changed` if it says that it wrote something."""

    change: Change
    status: int
    changed: bool = False
    total: Decimal | None = None


# -------------------------------------------------- whether a snapshot adds up


def check_people(people: Iterable[Item], heads: Iterable[Item]) -> list[str]:
    """LTV and counts of people, by source and currency, against the sum over the heads of all their orders."""
    sums: dict[str, Counter[str]] = defaultdict(Counter)
    for head in heads:
        if head.get("d") or not head.get("p"):
            continue
        account, letter, _ = head["pk"].split("/")
        source, currency = _SOURCES[letter], head.get("c", "")
        cells = sums[f"{account}/p/{head['p']}"]
        # A Counter adds Decimals as well, exactly: no context rounds sums of this size.
        cells[table.ltv_name(source, currency)] += head["x"]
        cells[table.count_name(source, currency)] += 1
    faults = []
    for person in people:
        stored = {name: value for name, value in person.items() if name[1:2] in (".", "#") and value}
        must = {name: value for name, value in sums.pop(person["pk"], Counter()).items() if value}
        if stored != must:
            faults.append(f"person {person['pk']} has {_shown(stored)}; the orders add up to {_shown(must)}")
    return faults + [f"orders of {pk}, who does not exist" for pk in sums]


def check_counters(counters: Iterable[Item], heads: Iterable[Item]) -> list[str]:
    """Counters of audiences, all shards of each, against the heads of all orders that count there."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    stored: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for head in heads:
        account, letter, _ = head["pk"].split("/")
        cell = sums[table.counters_pk(account, _SOURCES[letter])]
        cell[0] += int(head.get("m", 0))
        cell[1] += 1 if head.get("m") else 0
    for counter in counters:
        cell = stored[counter["pk"]]
        cell[0] += int(counter.get("m", 0))
        cell[1] += int(counter.get("n", 0))
    return [
        f"counters {key} have (records, orders) {stored[key]}; the orders add up to {sums[key]}"
        for key in sorted(stored.keys() | sums.keys())
        if stored[key] != sums[key]
    ]


def _shown(cells: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in sorted(cells.items())}


# ------------------------------------------------------- what must be in the end


def audit(
    items: list[Item], events: list[tuple[Event, str]], answers: list[Answer], *, all_answered: bool = True
) -> list[str]:
    """What is not as it must be, in words. `events` with the status that each delivery ended with.

    Not `all_answered`: v1 writes may stand in the ledger of which no answer came.
    """
    faults: list[str] = []
    people = {item["pk"]: item for item in items if item["sk"] == "p"}
    heads = [item for item in items if item["sk"].endswith("~")]
    faults += check_people(people.values(), heads)
    faults += check_counters([i for i in items if i["pk"].split("/")[1] == "n"], heads)

    standing = _standing(events, faults)
    must: dict[tuple[str, str, str], Order] = {}
    lines: dict[tuple[str, str, str], list[Any]] = {}
    by_order: dict[tuple[str, str], list[Event]] = defaultdict(list)
    for event in standing:
        by_order[event.account, event.payload["order_id"]].append(event)
    for (account, order_id), of_order in by_order.items():
        of_order.sort(key=_place)
        must[account, V3, order_id] = _v3_order(of_order)
        lines[account, V3, order_id] = [(*_place(e), e.payload["action"], _person(e.payload)) for e in of_order]

    keys: dict[tuple[str, str], tuple[str, str, str]] = {}
    have: dict[tuple[str, str, str], Order] = {}
    for head in heads:
        account, letter, _ = head["pk"].split("/")
        key = keys[head["pk"], head["sk"][:-1]] = (account, _SOURCES[letter], head.get("id", "?"))
        if not head.get("d"):
            person = people.get(f"{account}/p/{head['p']}") if head.get("p") else None
            named = (person["k"], person["id"]) if person else None
            have[key] = Order(named, head.get("c"), head["x"], int(head["m"]))
            if letter == "s" and head["pr"] != PROVIDER:
                faults.append(f"order {key} is of provider {head['pr']}")
    written = _written(items, people, keys, have)
    for key, found in written.items():
        if key[1] == V3 and sorted(found) != sorted(lines.get(key, [])):
            faults.append(f"events of {key}:\n  must be {sorted(lines.get(key, []))}\n  but are {sorted(found)}")
    must |= _v1_orders(items, keys, answers, all_answered, faults)
    for key in sorted(must.keys() | have.keys()):
        if must.get(key) != have.get(key):
            faults.append(f"order {key}:\n  must be {must.get(key)}\n  but is  {have.get(key)}")
    return faults


def _written(
    items: list[Item], people: dict[str, Item], keys: dict[tuple[str, str], Any], have: dict[Any, Order]
) -> dict[tuple[str, str, str], list[Any]]:
    """The events that stand with each v3 order: (occurred, received, position, action, person)."""
    found: dict[tuple[str, str, str], list[Any]] = {key: [] for key in have}
    for item in items:
        order_key, mark, _ = item["sk"].partition("!")
        if mark and "i" not in item:
            person, stamp = people[item["gp"]], item["gs"]
            line = (stamp[:20], stamp[20:40], int(stamp[40:44]), item["a"], (person["k"], person["id"]))
            found.setdefault(keys.get((item["pk"], order_key), (item["pk"], order_key, "?")), []).append(line)
    return found


# -------------------------------------------------------------------------- v3


def _standing(events: list[tuple[Event, str]], faults: list[str]) -> list[Event]:
    """Of each event the copy that was received first; statuses checked."""
    groups: dict[tuple[str, str], dict[int, dict[str, tuple[Event, set[str]]]]] = {}
    for event, status in events:
        contents = groups.setdefault((event.account, event.identity), {})
        contents.setdefault(event.content, {}).setdefault(event.request_id, (event, set()))[1].add(status)
    standing = []
    for identity, contents in groups.items():
        applied = []
        for requests in contents.values():
            statuses = Counter("/".join(sorted(found)) for _, found in requests.values())
            if statuses["applied"] == 1 and statuses["duplicate"] == len(requests) - 1:
                applied.append([event for event, _ in requests.values()])
            elif len(contents) == 1 or statuses != Counter({"failed": len(requests)}):
                faults.append(f"requests of {identity} ended as {dict(statuses)}")
        if len(applied) == 1:
            standing.append(min(applied[0], key=lambda e: (e.received, e.position)))
        else:
            faults.append(f"{len(applied)} contents of {identity} were applied")
    return standing


def _place(event: Event) -> tuple[str, str, int]:
    occurred = event.payload.get("occurred_at")
    return _stamp(occurred) if occurred else event.received, event.received, event.position


def _stamp(text: str) -> str:
    """2026-01-01T10:04:00Z: what is sent here has no fraction and no other offset."""
    return "".join(c for c in text if c.isdigit()) + "000000"


def _v3_order(events: list[Event]) -> Order:
    """`events` in their order."""
    total: Decimal | None = None
    fallback: Decimal | None = None
    opened, refunds, currency = False, Decimal(0), None
    shipping = billing = False
    for event in events:
        payload = event.payload
        carried = Decimal(payload["grand_total"]) if "grand_total" in payload else None
        if payload["action"] in ("placed", "updated", "paid", "fulfilled"):
            opened = True
            total = total if carried is None else carried
        else:
            fallback = fallback if carried is None else carried
            refunds += Decimal(payload.get("refund_amount", 0))
        currency = payload.get("currency", currency)
        shipping, billing = shipping or "shipping_address" in payload, billing or "billing_address" in payload
    known = total if total is not None else fallback if fallback is not None else Decimal(0) if opened else None
    amount = Decimal(0) if known is None else known - refunds
    return Order(_person(events[-1].payload), currency, amount, max(1, shipping + billing))


def _person(payload: dict[str, Any]) -> Person:
    if "person_id" in payload:
        return "person", payload["person_id"]
    return "email", hashlib.sha256(payload["email"].encode()).hexdigest()


# -------------------------------------------------------------------------- v1


def _v1_orders(
    items: list[Item], keys: dict[tuple[str, str], tuple[str, str, str]], answers: list[Answer], all_answered: bool,
    faults: list[str],
) -> dict[tuple[str, str, str], Order]:  # fmt: skip
    """Plays what each order's versions say was written, from what the calls asked for."""
    by_request = {answer.change.request_id: answer for answer in answers}
    versions: dict[tuple[str, str], list[Item]] = defaultdict(list)
    for item in items:
        order_key, mark, _ = item["sk"].partition("!")
        if mark and "i" in item:
            versions[item["pk"], order_key].append(item)
    orders: dict[tuple[str, str, str], Order] = {}
    made: Counter[str] = Counter()
    for (pk, order_key), chain in versions.items():
        chain.sort(key=lambda item: str(item["sk"]))
        where = f"v1 order {pk} {order_key}"
        numbers = [int(item["sk"].partition("!")[2]) for item in chain]
        if numbers != list(range(1, len(chain) + 1)):
            faults.append(f"{where}: versions {numbers}")
        document: dict[str, Any] | None = None
        account = pk.split("/")[0]
        for item in chain:
            made[item["rq"]] += 1
            answer = by_request.get(item["rq"])
            if answer is None or (answer.change.account, answer.change.kind) != (account, item["a"]):
                faults.append(f"{where}: version {item['sk']} is of no such request")
                break
            change = answer.change
            if (document is None) != (change.kind == "submitted"):
                faults.append(f"{where}: {change} was made on {document}")
                break
            shown = document
            document = {
                "submitted": dict(change.payload), "edited": {**(document or {}), **change.payload}, "deleted": None,
            }[change.kind]  # fmt: skip
            shown = document if document is not None else shown
            if answer.total is not None and answer.total != _total(shown or {}):
                faults.append(f"{where}: {change} was answered with total {answer.total}, not of {shown}")
            orders.pop((account, V1, change.order_id), None)
            if document is not None:
                orders[account, V1, change.order_id] = _v1_order(document)
    for request_id, times in made.items():
        if times > 1:
            faults.append(f"v1 request {request_id} was made {times} times")
    for answer in answers:
        written = answer.change.request_id in made
        if answer.changed != written and (all_answered or not written) and answer.status < 500:
            faults.append(f"{answer} but written: {written}")
    return orders


def _v1_order(document: dict[str, Any]) -> Order:
    records = [document.get(name) for name in ("shipping_address", "billing_address")]
    return Order(
        _person({"email": document["customer_email"]}), document.get("currency", "USD"), _total(document),
        max(1, sum(map(bool, records))),
    )  # fmt: skip


def _total(document: dict[str, Any]) -> Decimal:
    return Decimal(document.get("total") or 0).quantize(_CENT)

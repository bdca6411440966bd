"""Generates the requests of one history from a seed: few people, orders and times, so that requests collide."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random

EVENTS = 20  # the least number of events in a history

EMAILS = ("ann@shop.example", " Bob@Shop.Example ", "cleo@shop.example", "ANN@shop.example")
_PERSON_IDS = ("p-1", "p-2", "77", "dora@shop.example")
CUSTOMER_IDS = ("c-1", "p-1", "cleo@shop.example")
_ACTIONS = ("placed", "placed", "updated", "paid", "fulfilled", "refunded", "refunded", "canceled")
_AMOUNTS = (
    "0",
    "10",
    "22.99",
    "105",
    '"105"',
    "0.01",
    "1e2",
    "19.989999999999998",
    '"7.5000"',
    "33.3333",
    "999999999999999.9999",
)
_REFUNDS = ("0", "5", "105", '"22.99"', "0.01", "250")
_CURRENCIES = ('"USD"', '"EUR"', '"eur"', '"JPY"')
_MOMENTS = (
    "2026-01-01T10:00:00Z", "2026-01-01T10:00:00Z", "2026-01-01T11:00:00+01:00", "2026-01-01T10:00:00.000001Z",
    "2025-12-31", "2026-01-02T00:00:00Z",
)  # fmt: skip
ADDRESSES = (
    '{"address_1":"1 First St","postal_code":"10001","city":"New York"}',
    '{"address_1":"22 Hill Road","address_2":"Apt 3","postal_code":"94110"}',
    '{"address_1":"5 Mill Lane","postal_code":"SW1A 1AA","city":"London","country":"GB"}',
)
# This event names nobody, so a batch that contains it is refused as a whole.
_REFUSED = '{"action":"placed","provider":"shop","order_id":"o-1"}'


@dataclass(frozen=True, slots=True)
class Step:
    """One request, sent until it is answered, at most `attempts` times. `at` is in seconds; `bodies` are JSON.

    `target`: the id in the path (of an order, an audience, a person or dead letters). `key`: the Idempotency-Key.
    """

    id: int
    at: float
    kind: str  # activity, batch, voided, submitted, edited, deleted, rebuild, purge, erase, replay
    account: str
    bodies: tuple[str, ...]
    attempts: int
    target: str = ""
    key: str | None = None

    @property
    def body(self) -> str:
        return f'{{"orders":[{",".join(self.bodies)}]}}' if self.kind == "batch" else "".join(self.bodies)

    def __str__(self) -> str:
        named = f" {self.target}" if self.target else ""
        keyed = f" [Idempotency-Key {self.key}]" if self.key else ""
        sends = f" (up to {self.attempts} times)" if self.attempts > 1 else ""
        return f"step {self.id} at {self.at:.3f} s: {self.account} {self.kind}{named}{keyed}{sends} {self.body}"


@dataclass(frozen=True, slots=True)
class History:
    """The requests of a history, and the random settings under which it runs."""

    seed: int
    steps: list[Step]
    faults: float  # probability that a call meets a fault
    slots: int  # the most processing functions that run at the same time for a queue
    short_lives: float  # probability that a function gets little time
    again: float  # probability that a message stays visible while it is processed, so that it is delivered again
    spread: float  # one call in ten takes up to this many seconds
    max_orders: int  # the most orders in a message
    compress_from: int  # characters from which a message is compressed
    page_seconds: float  # seconds of work in a page of a job
    orders_a_chain: int  # orders for each chain of pages of a rebuild
    together: int  # the most events in a transaction
    emptied_together: int  # the most events that one transaction empties
    currency: str  # of the accounts
    others: float  # probability that a worker runs another version of the code
    reads: bool  # whether everything that the API shows is compared in the end
    window: float  # the most seconds until KeepBook receives a change of the ledger


@dataclass
class _Shops:
    """The data of shops from which the requests of one history are made, and the requests made so far."""

    random: Random
    accounts: list[str]
    people: list[str] = field(default_factory=list)
    orders: list[str] = field(default_factory=list)
    v1_orders: list[str] = field(default_factory=list)
    v1_people: list[str] = field(default_factory=list)
    moments: list[str] = field(default_factory=list)
    amounts: list[str] = field(default_factory=list)
    currencies: list[str] = field(default_factory=list)
    repeats: float = 0.0  # probability that a v3 request repeats an earlier one
    keyed: float = 0.0  # probability that a v3 request has an Idempotency-Key
    timed: float = 0.0  # probability that an event has an occurred_at
    voids: float = 0.0  # probability that a v3 request is a voided event
    memory: int = 4  # a repeat copies one of this many latest v3 requests
    requests: list[tuple[str | None, tuple[str, ...]]] = field(default_factory=list)  # v3: Idempotency-Key, bodies
    sent: list[str] = field(default_factory=list)  # bodies of v3 events
    submitted: list[tuple[str, str]] = field(default_factory=list)  # v1: order id, body

    def sample(self, source: tuple[str, ...], most: int) -> list[str]:
        """Returns at least one and at most `most` of the texts, without repeats."""
        return self.random.sample(source, self.random.randint(1, min(most, len(source))))


def _shops(random: Random) -> _Shops:
    """Chooses few people, orders, moments and amounts, so that requests of a history collide."""
    shops = _Shops(random, ["acme", "beta"] if random.random() < 0.15 else ["acme"])
    shops.people = [f'"email":"{e}"' for e in shops.sample(EMAILS, 2)]
    shops.people += [f'"person_id":"{p}"' for p in shops.sample(_PERSON_IDS, 2)]
    shops.orders = [f"o-{n}" for n in range(random.randint(1, 4))]
    shops.v1_orders = shops.orders[:1] + [f"v-{n}" for n in range(random.randint(0, 2))]
    shops.v1_people = [f'"customer_email":"{e}"' for e in shops.sample(EMAILS, 2)]
    shops.v1_people += [f'"customer_id":"{c}"' for c in shops.sample(CUSTOMER_IDS, 1)]
    if random.random() < 0.3:
        shops.v1_people.append("")
    shops.moments = shops.sample(_MOMENTS, 3)
    shops.amounts = shops.sample(_AMOUNTS, 4)
    shops.currencies = shops.sample(_CURRENCIES, 3)
    return shops


def history(seed: int) -> History:
    random = Random(seed)
    shops = _shops(random)
    # The theme of a history decides which requests collide.
    theme = random.choice(("all", "all", "v1", "v3", "copies"))
    v1_share = {"all": 0.3, "v1": 0.95, "v3": 0.05, "copies": 0.0}[theme]
    shops.repeats = 0.9 if theme == "copies" else random.choice((0.1, 0.3, 0.8))
    shops.keyed = random.choice((0.0, 0.9) if theme == "copies" else (0.0, 0.1, 0.3, 0.9))
    shops.timed = random.choice((0.9, 0.75, 0.3))
    shops.voids = random.choice((0.0, 0.0, 0.1, 0.3))
    shops.memory = 2 if theme == "copies" else 4
    duration = random.choice((0.0, 0.05, 0.5, 3.0, 60.0))
    attempts = random.choice((1, 2, 4))
    rebuilds = random.choice((0, 0, 1))
    steps = [
        Step(n, random.random() * duration * 1.5, "rebuild", random.choice(shops.accounts), (), attempts,
             random.choice(("customers-orders-api", "customers-shopper-activity")))
        for n in range(rebuilds)
    ]  # fmt: skip
    events = 0
    while events < EVENTS:
        at = random.random() * duration
        account = random.choice(shops.accounts)
        if random.random() < v1_share:
            step = _v1(shops, len(steps), at, account, attempts)
        else:
            step = _v3(shops, len(steps), at, account, attempts)
        steps.append(step)
        events += 0 if _REFUSED in step.bodies else len(step.bodies) or 1
    if random.random() < 0.35:
        _add_removals(shops, steps, duration)
    if random.random() < 0.3:
        for _ in range(random.randint(1, 3)):
            at = random.choice((duration, 400.0, 1500.0)) * random.random()
            steps.append(Step(len(steps), at, "replay", random.choice(shops.accounts), (), attempts, "all"))
    return History(
        seed,
        steps,
        faults=random.choice((0.0, 0.02, 0.05, 0.1, 0.1, 0.25)),
        slots=6 if theme == "copies" else random.choice((1, 2, 3, 6)),
        short_lives=random.choice((0.0, 0.0, 0.05, 0.3)),
        again=random.choice((0.0, 0.05, 0.3)),
        spread=random.choice((0.02, 0.3, 3.0)),
        max_orders=random.choice((100, 100, 2, 1)),
        compress_from=random.choice((48_000, 48_000, 100)),
        page_seconds=random.choice((20.0, 20.0, 1.0, 0.2)),
        orders_a_chain=random.choice((5000, 5000, 5000, 2)),
        together=random.choice((16, 16, 3, 1)),
        emptied_together=random.choice((90, 2, 1)),
        currency=random.choice(("USD", "USD", "EUR", "JPY")),
        others=random.choice((0.0, 0.0, 0.5)),
        reads=random.random() < 0.2,
        window=random.choice((0.1, 10.0, 300.0)),
    )


def _add_removals(shops: _Shops, steps: list[Step], duration: float) -> None:
    """Adds purges and erasures, and after them repeats of some earlier requests."""
    random = shops.random
    sent = [step for step in steps if step.kind != "rebuild" and _REFUSED not in step.bodies]
    latest = 0.0
    for _ in range(random.choice((1, 1, 2, 3))):
        at = random.random() * (duration + 0.05) * 1.2
        account, attempts = random.choice(shops.accounts), random.choice((1, 4))
        latest = max(latest, at)
        if random.random() < 0.5:
            who = random.choice([*shops.people, *filter(None, shops.v1_people)]).split(":")[1].strip('"')
            steps.append(Step(len(steps), at, "erase", account, (), attempts, who))
            continue
        fields = ['"confirm":"purge"']
        if random.random() < 0.4:
            fields.append(f'"source":"{random.choice(("orders_api", "shopper_activity"))}"')
        steps.append(Step(len(steps), at, "purge", account, ("{" + ",".join(fields) + "}",), attempts))
    for _ in range(random.randint(0, 8)):
        repeated = random.choice(sent)
        at = latest + random.random() * random.choice((0.05, 1.0, 30.0, 600.0))
        steps.append(replace(repeated, id=len(steps), at=at))


def _v3(shops: _Shops, number: int, at: float, account: str, attempts: int) -> Step:
    random = shops.random
    if random.random() < shops.voids:
        return Step(number, at, "voided", account, (_voided(shops),), attempts)
    key = random.choice(("k-1", "k-2", "k-3")) if random.random() < shops.keyed else None
    if shops.requests and random.random() < shops.repeats:
        earlier, bodies = random.choice(shops.requests[-shops.memory :])
        chance = random.random()
        if chance < 0.75:
            key = earlier
        elif chance > 0.9:  # the same key with another content; otherwise the same content with another key
            key, bodies = earlier, (_activity(shops), *bodies[1:])
    elif random.random() < 0.25:
        bodies = tuple(_activity(shops) for _ in range(random.randint(2, 7)))
        if random.random() < 0.05:
            bodies = (*bodies, _REFUSED)
    else:
        bodies = (_activity(shops),)
    shops.requests.append((key, bodies))
    return Step(number, at, "activity" if len(bodies) == 1 else "batch", account, bodies, attempts, key=key)


def _voided(shops: _Shops) -> str:
    """The event that a connector sends for an order in the trash.

    An order may be put into the trash again: `delivery_id` distinguishes the two events.
    """
    random = shops.random
    parts = ['"provider":"shop"', f'"order_id":"{random.choice(shops.orders)}"', '"action":"voided"']
    if random.random() < 0.6:
        parts.append(f'"occurred_at":"{random.choice(shops.moments)}"')
    elif random.random() < 0.5:
        parts.append(f'"delivery_id":"d-{random.randint(1, 2)}"')
    return "{" + ",".join(parts) + "}"


def _activity(shops: _Shops) -> str:
    random = shops.random
    if shops.sent and random.random() < 0.1:
        return random.choice(shops.sent)  # repeated, in the same or another request
    action = random.choice(_ACTIONS)
    parts = [
        '"provider":"shop"' if random.random() < 0.95 else '"provider":"other_shop"',
        f'"order_id":"{random.choice(shops.orders)}"', f'"action":"{action}"', random.choice(shops.people),
    ]  # fmt: skip
    if random.random() < shops.timed:
        parts.append(f'"occurred_at":"{random.choice(shops.moments)}"')
    if random.random() < (0.7 if action in ("placed", "updated", "paid", "fulfilled") else 0.25):
        parts.append(f'"grand_total":{random.choice(shops.amounts)}')
    if random.random() < (0.8 if action in ("refunded", "canceled") else 0.05):
        parts.append(f'"refund_amount":{random.choice(_REFUNDS)}')
    if random.random() < 0.6:
        parts.append(f'"currency":{random.choice(shops.currencies)}')
    for kind in ("shipping", "billing"):
        if random.random() < 0.1:
            parts.append(f'"{kind}_address":{random.choice(ADDRESSES)}')
    if random.random() < 0.1:
        parts.append(f'"colour":{random.choice(("1", "1.0", "true", "null"))}')
    if random.random() < 0.1:
        random.shuffle(parts)
    body = "{" + ",".join(parts) + "}"
    shops.sent.append(body)
    return body


def _v1(shops: _Shops, number: int, at: float, account: str, attempts: int) -> Step:
    random = shops.random
    order_id = random.choice(shops.v1_orders)
    chance = random.random()
    if chance < 0.45:
        of_order = [body for known, body in shops.submitted if known == order_id]
        if of_order and random.random() < 0.6:
            body = random.choice(of_order)
        else:
            body = _submission(shops, order_id)
            shops.submitted.append((order_id, body))
        return Step(number, at, "submitted", account, (body,), attempts, order_id)
    if chance < 0.85:
        return Step(number, at, "edited", account, (_edit(shops),), attempts, order_id)
    return Step(number, at, "deleted", account, (), attempts, order_id)


def _submission(shops: _Shops, order_id: str) -> str:
    random = shops.random
    parts = [
        f'"order_id":"{order_id}"',
        f'"order_date":"{random.choice(shops.moments)}"',
        f'"billing_address":{ADDRESSES[0]}',
    ]
    if random.random() < 0.2:
        parts.append(f'"shipping_address":{random.choice(ADDRESSES)}')
    parts += [part for part in [random.choice(shops.v1_people)] if part]
    if random.random() < 0.8:
        parts.append(f'"total":{random.choice(shops.amounts)}')
    if random.random() < 0.6:
        parts.append(f'"currency":{random.choice(shops.currencies)}')
    if random.random() < 0.2:
        parts.append('"metadata":{"campaign":"spring"}')
    if '"customer_email"' in "".join(parts) and random.random() < 0.2:
        parts.remove(f'"billing_address":{ADDRESSES[0]}')
    return "{" + ",".join(parts) + "}"


def _edit(shops: _Shops) -> str:
    random = shops.random
    changes = [
        f'"total":{random.choice(shops.amounts)}', f'"total":{random.choice(shops.amounts)}', '"total":null',
        f'"currency":{random.choice(shops.currencies)}', '"customer_email":null', '"customer_id":null',
        random.choice(shops.v1_people) or '"customer_email":null', f'"order_date":"{random.choice(shops.moments)}"',
        '"metadata":{"campaign":"autumn"}', '"metadata":null', "", f'"shipping_address":{random.choice(ADDRESSES)}',
        '"shipping_address":null', '"billing_address":null',
        random.choice(['"total":""', '"currency":""', '"customer_email":""', '"customer_id":""']),
    ]  # fmt: skip
    chosen = {change.partition(":")[0]: change for change in random.sample(changes, random.randint(1, 3)) if change}
    return "{" + ",".join(chosen.values()) + "}"

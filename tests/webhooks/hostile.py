"""Hostile bodies: genuine ones with parts replaced, removed or repeated, and arbitrary bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from random import Random
from typing import Any

from tests.platforms.sender import SAMPLES, Sent, signed
from tests.simulation.progress import Progress
from tests.webhooks.run import ACCOUNT, Receiver
from tests.webhooks.shops import SHOPS
from tillbook.records.messages import decode

MARKER = "hostile.marker@example.com"
_ROUND = 200  # bodies before the store is emptied, since rejections are recorded only up to a daily limit
_TOPICS = {
    "woocommerce": ("order.created", "order.updated", "order.deleted", "order.restored", "product.updated", "", "\x00"),
    "shopify": ("orders/create", "orders/updated", "orders/delete", "orders/edited", "refunds/create", "", "é"),
}
_VALUES: list[Any] = [
    None, True, False, 0, -1, 10**30, -(10**15), 1.5, "", " ", "\x00", "0", "-1", "NaN", "Infinity", "1e999", "1,5",
    "$5", "9" * 5000, [], [[]], [None], {}, {"a": {}}, {"id": None}, "yesterday", "9999-12-31T23:59:59",
    "0001-01-01T00:00:00",
    "2026-03-01T09:15:00+99:00", "\u202eevil", "a" * 20_000, "<script>", MARKER, f"mailto:{MARKER}", "\U0001f355" * 300,
    ".", "..", "a?b", "XQQ", "refunded", "paid", "0.00000001", "999999999999999.9999", "-0", {MARKER: MARKER},
]  # fmt: skip
_RAW = [
    b"", b"{", b"null", b"[]", b'"x"', b"\xff\xfe\x00", b"\xef\xbb\xbf{}", b"[" * 50_000, b'{"id":1,"id":2}', b"NaN",
    b'{"a":"\\ud800"}', b"webhook_id=", b"webhook_id=1&x=1", b"<xml/>", b"\x1f\x8b\x08\x00", b"1" * 5000, b"{}" * 1000,
    b'{"id":' + b"9" * 5000 + b"}",
]  # fmt: skip


def _bodies() -> dict[str, list[tuple[str, Any]]]:
    """(topic, body) of each recorded delivery, by platform."""
    found: dict[str, list[tuple[str, Any]]] = {platform: [] for platform in SHOPS}
    names = {"woocommerce": "X-WC-Webhook-Topic", "shopify": "X-Shopify-Topic"}
    for path in sorted(SAMPLES.glob("*.json")):
        content = json.loads(path.read_text())
        for delivery in content["deliveries"]:
            topic = delivery["headers"].get(names[content["platform"]], "")
            if isinstance(delivery["body"], dict):
                found[content["platform"]].append((topic, delivery["body"]))
    return found


_RECORDED = _bodies()


def make_request(seed: int, number: int, secrets: dict[str, str]) -> tuple[str, Sent, bool]:
    """A random request: (connection, request, whether its signature is genuine)."""
    random = Random(f"{seed} {number}")
    platform = random.choice(list(SHOPS))
    topic, recorded = random.choice(_RECORDED[platform])
    if random.random() < 0.2:
        topic = random.choice(_TOPICS[platform])
    body: Any = random.choice(_RAW)
    if random.random() < 0.85:
        body = json.loads(json.dumps(recorded))
        for _ in range(random.choice((1, 1, 1, 2, 5))):
            _spoil(random, body)
        body = json.dumps(body, ensure_ascii=random.random() < 0.5).encode("utf-8", "surrogatepass")
        if random.random() < 0.05:
            body = body[: random.randrange(len(body))]
    forged = random.random() < 0.1
    sent = signed(
        platform, "another" if forged else secrets[platform], topic, body, delivery=random.choice(("d", "", "x" * 9000))
    )
    if random.random() < 0.05:
        name = random.choice(list(sent.headers))
        sent.headers[name] = random.choice(("", "é", "=", "A" * 9000, "\x00", " "))
        if name.lower().endswith(("signature", "sha256")):  # the header that contains the signature
            forged = True
    return platform, sent, not forged


def _spoil(random: Random, body: Any) -> None:
    """Replaces, removes or repeats a random part, at any depth."""
    at = body
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        if not keys:
            return
        key = random.choice(keys)
        inner = at[key]
        if isinstance(inner, dict | list) and inner and random.random() < 0.7:
            at = inner
            continue
        if random.random() < 0.15:
            del at[key]
        elif isinstance(inner, list) and inner and random.random() < 0.3:
            at[key] = inner * random.choice((2, 100, 3000))
        else:
            at[key] = deepcopy(random.choice(_VALUES))  # a copy, since the next call may change it
        return


def attack(receiver: Receiver, seed: int, count: int, progress: Progress) -> Iterator[str]:
    """Sends `count` requests and yields a text for each wrong result.

    A request with a wrong signature must get 401, unless it is a ping; the others must get 200 or 413. Only genuine
    requests may be queued. No e-mail address may be stored or returned in clear, and no dead letter may be left.
    """
    for number in range(count):
        if number % _ROUND == 0:
            receiver.open()
            random = Random(seed + number)
        connection, sent, genuine = make_request(seed, number, receiver.secrets)
        before = len(receiver.sqs.messages)
        try:
            answer = receiver.post(connection, sent.headers, sent.body)
        except Exception as error:
            yield f"body {number} of seed {seed} raised {error!r}"
            continue
        finally:
            progress.add()
        status, queued = answer["statusCode"], len(receiver.sqs.messages) - before
        ping = sent.body.startswith(b"webhook_id=") and sent.body[11:].isdigit()
        if status not in ((200, 413) if genuine or ping else (401,)):
            yield f"body {number} of seed {seed} was answered {status}"
        if queued and not (genuine and status == 200):
            yield f"body {number} of seed {seed} was queued, and answered {status}"
        if MARKER in answer["body"] or _in_clear(receiver):
            yield f"body {number} of seed {seed} leaves an e-mail address in clear"
        if number % 20 == 19:
            receiver.process(random, everything=True)
        if number % _ROUND == _ROUND - 1 or number == count - 1:
            receiver.process(random, everything=True)
            if left := _dead_letters(receiver):
                yield f"dead letters after body {number} of seed {seed}: {left}"


def _dead_letters(receiver: Receiver) -> list[Any]:
    return [key for key in receiver.dynamodb.tables["RecordsTable"].items if key[0] == f"{ACCOUNT}/d"]


def _in_clear(receiver: Receiver) -> bool:
    """Whether the last message or one of the last two records contains an e-mail address in clear.

    An order's ids are not checked, since a shop may put an address into them.
    """
    messages = list(receiver.sqs.messages.values())[-1:]
    # The fields of a body are checked one by one, beside those of its message.
    kept = [order._asdict() | order.body for message in messages for order in decode(message.body).orders]
    kept += [dict(item) for item in list(receiver.dynamodb.tables["RecordsTable"].items.values())[-2:]]
    unchecked = {"body", "order_id", "order_public_id"}
    return any(MARKER in str({name: value for name, value in item.items() if name not in unchecked}) for item in kept)

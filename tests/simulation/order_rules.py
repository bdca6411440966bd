"""Checks v1 orders: the requests must explain the versions of an order, and the versions must explain the answers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from tests.simulation.facts import NAMES, NEVER, V1, Activity, Books, Call, Cuts, Order, Person, Seen, Version
from tests.simulation.values import amount, email_hash, is_email, moment

# -------------------------------------------------------------------------- v1


def _document(payload: dict[str, Any]) -> dict[str, Any] | None:
    """The fields of a submission in canonical form, without empty ones; None if the submission is not valid."""
    sha256 = (payload.get("customer_email_sha256") or "").lower() or None
    if payload.get("customer_email"):
        sha256 = email_hash(payload["customer_email"])
    customer = payload.get("customer_id") or None
    # A customer id alone is not enough.
    identifying = [sha256, payload.get("shipping_address"), payload.get("billing_address")]
    if not any(identifying) or not payload.get("order_date"):
        return None
    if customer is not None and is_email(customer):
        sha256, customer = sha256 or email_hash(customer), None
    document = {
        "order_id": str(payload["order_id"]), "order_date": moment(payload["order_date"]),
        "currency": (payload.get("currency") or "USD").upper(), "total": amount(payload.get("total")) or None,
        "customer_id": customer, "email_sha256": sha256, "metadata": payload.get("metadata") or None,
        "order_items": payload.get("order_items") or None,
        "shipping_address": payload.get("shipping_address"), "billing_address": payload.get("billing_address"),
    }  # fmt: skip
    return {name: value for name, value in document.items() if value is not None}


def _edited(document: dict[str, Any], payload: dict[str, Any]) -> dict[str, Any] | None:
    """The document after an edit; None if the edit is not valid."""
    whole = {name: value for name, value in document.items() if name not in ("email_sha256", "order_date")}
    date = document["order_date"]
    whole["order_date"] = f"{date[:4]}-{date[4:6]}-{date[6:8]}T{date[8:10]}:{date[10:12]}:{date[12:14]}.{date[14:]}Z"
    # In these fields an empty text changes nothing: only null clears.
    clearable = ("total", "currency", "customer_id", "customer_email", "customer_email_sha256")
    payload = {name: value for name, value in payload.items() if name not in clearable or value != ""}
    new_id = payload.get("customer_id")
    # A new customer id that is an e-mail address replaces the hash, unless the order has a customer id: a hash without
    # a customer id may be that of an earlier id of this kind.
    replaced = isinstance(new_id, str) and is_email(new_id) and "customer_id" not in document
    if not replaced and not {"customer_email", "customer_email_sha256"} & set(payload):
        whole["customer_email_sha256"] = document.get("email_sha256")
    return _document(whole | payload | {"order_id": document["order_id"]})


def _person_v1(account: str, document: dict[str, Any]) -> Person | None:
    if "email_sha256" in document:
        return account, "email", document["email_sha256"]
    return (account, "customer", document["customer_id"]) if "customer_id" in document else None


@dataclass(frozen=True, slots=True)
class _State:
    """A v1 order between two changes.

    Attributes:
        since: time of the first of the two changes, in seconds of the run.
        document: None if there is no order.
        first, first_version: document and version of the latest submission.
        receipt: the stamp of receipt that counts for the newest version.
    """

    since: float
    document: dict[str, Any] | None = None
    id: str = ""
    first: dict[str, Any] | None = None
    first_version: Version | None = None
    person: Person | None = None
    receipt: str = ""


@dataclass(slots=True)
class _Entry:
    """One version with its document; a deletion has the deleted document. `place` sorts it in a timeline."""

    version: Version
    document: dict[str, Any]
    place: tuple[str, str, int]
    person: Person | None


def _answers(body: dict[str, Any] | None, generated_id: str, document: dict[str, Any] | None) -> bool:
    """Whether the body of an answer shows this document, under the id that the service generated."""
    if body is None or document is None:
        return False
    date = document["order_date"]
    return bool(
        body["id"] == generated_id
        and body["order_id"] == document["order_id"]
        and body["currency"] == document["currency"]
        and Decimal(body["total"]) == document.get("total", 0)
        and body["customer"] == {"id": document.get("customer_id"), "email_sha256": document.get("email_sha256")}
        and body["metadata"] == (document.get("metadata") or {})
        and body["order_date"] == f"{date[:4]}-{date[4:6]}-{date[6:8]}T{date[8:10]}:{date[10:12]}:{date[12:14]}Z"
    )


@dataclass(slots=True)
class _Life:
    """The states of one v1 order in one generation, and its versions (`entries`).

    `written`: by request id, the index of the state that the request made.
    """

    states: list[_State] = field(default_factory=lambda: [_State(-NEVER)])
    written: dict[str, int] = field(default_factory=dict)
    entries: list[_Entry] = field(default_factory=list)


def v1_order(
    account: str, order_id: str, calls: list[Call], seen: Seen, cuts: Cuts, books: Books, faults: list[str]
) -> set[str]:
    """Checks the versions of an order and the answers of its requests, and adds the expected order to `books`.

    Returns the ids of the requests that wrote a version in the current generation.
    """
    where, marks = f"v1 order {account}/{order_id}", cuts.of_source(account, V1)
    by_id = {call.request_id: call for call in calls}
    lives: dict[int, _Life] = {}
    for generation in range(len(marks) + 1):
        versions = seen.versions.get((account, order_id, generation), [])
        since = marks[generation - 1].cut if generation else ""
        lives[generation] = _life(f"{where} in generation {generation}", versions, by_id, since, cuts, faults)
    generations: dict[str, int] = {}
    for generation, life in lives.items():
        for request_id in life.written:
            if request_id in generations:
                faults.append(f"{where}: {request_id} wrote versions in two generations")
            generations[request_id] = generation
    for call in calls:
        if call.status is None or call.status >= 500:
            continue
        if call.request_id in generations:
            life = lives[generations[call.request_id]]
            _check_answer(call, life, where, faults)
            continue
        # The request wrote nothing. It may have read the order in any generation that existed while it ran.
        possible = [
            life
            for generation, life in lives.items()
            if (generation == 0 or (marks[generation - 1].cut < call.received and marks[generation - 1].at <= call.end))
            and (generation == len(marks) or marks[generation].at >= call.start)
        ]
        if not any(_is_explained(call, life, cuts) for life in possible):
            states = [life.states for life in possible]
            faults.append(f"{where}: {call} wrote nothing, and no state during it explains its answer: {states}")
    _add_order(account, order_id, lives[len(marks)], cuts, books, faults, where)
    return {request_id for request_id, generation in generations.items() if generation == len(marks)}


def _life(
    where: str, versions: list[Version], by_id: dict[str, Call], since: str, cuts: Cuts, faults: list[str]
) -> _Life:
    """The states that the versions lead to. Ends at a version that has no request or that cannot follow.

    `since`: the cut at which the generation began.
    """
    life, number = _Life(), 0
    for version in versions:
        before = life.states[-1]
        if version.action == "erased":
            if not any(m.cut >= before.receipt and m.at <= version.at for m in cuts.of_person(before.person)):
                faults.append(f"{where}: {before} was deleted by an erasure that never happened")
            life.states.append(replace(before, since=version.at, document=None))
            continue
        call = by_id.get(version.request_id)
        if call is None or call.kind != version.action or version.request_id in life.written:
            faults.append(f"{where}: {version} has no request, or a request that already wrote a version")
            return life
        if version.at < call.start or call.received <= since or version.number != number + 1:
            faults.append(f"{where}: {version} of {call} was written too early, or follows version {number}")
        number = version.number
        state, document, occurred = _next(before, version, call, cuts)
        if state is None:
            faults.append(f"{where}: {version} cannot follow {before}")
            return life
        life.written[version.request_id] = len(life.states)
        life.states.append(state)
        person = _person_v1(call.account, document)
        life.entries.append(_Entry(version, document, (occurred, state.receipt, 0), person))
    return life


def _next(before: _State, version: Version, call: Call, cuts: Cuts) -> tuple[_State | None, dict[str, Any], str]:
    """The state after a version, its document, and when it occurred. The state is None if the version cannot follow.

    A version counts as received no earlier than the one before it.
    """
    receipt, exists = max(call.received, before.receipt), before.document is not None
    erasures = [m for m in cuts.of_person(before.person) if before.receipt <= m.cut < call.received]
    if version.action == "submitted":
        document = _document(call.payload)
        is_free = not exists or any(m.at <= version.at for m in erasures)
        if not is_free or document is None:
            return None, {}, ""
        person = _person_v1(call.account, document)
        state = _State(version.at, document, version.id, document, version, person, receipt)
        return state, document, document["order_date"]
    # A request that started after an erasure wrote its mark must not find the order.
    if before.document is None or version.id != before.id or any(m.at < call.start for m in erasures):
        return None, {}, ""
    if version.action == "deleted":
        return replace(before, since=version.at, document=None, receipt=receipt), before.document, call.received
    document = _edited(before.document, call.payload)
    if document is None or document == before.document:
        return None, {}, ""
    person = _person_v1(call.account, document)
    state = replace(before, since=version.at, document=document, person=person, receipt=receipt)
    return state, document, call.received


def _add_order(
    account: str, order_id: str, life: _Life, cuts: Cuts, books: Books, faults: list[str], where: str
) -> None:
    """Adds the order and its timeline to `books`, and checks that erasures emptied the versions that they cover."""
    for entry in life.entries:
        must = entry.place[1] <= cuts.person(entry.person)
        emptied = entry.version.emptied != NEVER
        if (emptied and not must) or (must and not emptied and cuts.all_erasures_finished(entry.person)):
            faults.append(f"{where}: {entry} must {'' if must else 'not '}be emptied")
        if entry.person and not emptied:
            books.people.add(entry.person)
            name = NAMES[entry.version.action]
            books.timelines.setdefault(entry.person, []).append(Activity(entry.place, name, V1, order_id))
    current = life.states[-1].document
    if current is None or life.entries[-1].version.emptied != NEVER:
        return
    person = _person_v1(account, current)
    books.orders[account, V1, "", order_id] = Order(
        person, current["currency"], current.get("total", Decimal(0)), first=current["order_date"],
        addresses=(_first_line(current, "shipping_address"), _first_line(current, "billing_address")),
        customer=current.get("customer_id", "") if person and person[1] == "email" else "",
    )  # fmt: skip


def _first_line(document: dict[str, Any], name: str) -> str:
    return str((document.get(name) or {}).get("address_1", ""))


def _check_answer(call: Call, life: _Life, where: str, faults: list[str]) -> None:
    """Checks that a request that wrote a version was answered with the order as written, or as deleted."""
    at = life.written[call.request_id]
    shown = life.states[at - 1] if call.kind == "deleted" else life.states[at]
    expected = 201 if call.kind == "submitted" else 200
    if call.status != expected or not _answers(call.body, shown.id, shown.document):
        faults.append(f"{where}: {call} wrote a version, but its answer is wrong")


def _is_explained(call: Call, life: _Life, cuts: Cuts) -> bool:
    """Whether a state of the order during the request, which wrote nothing, explains its answer."""
    ends = [state.since for state in life.states[1:]] + [NEVER]
    return any(
        state.since <= call.end and until >= call.start and _explains(call, state, cuts)
        for state, until in zip(life.states, ends, strict=True)
    )


def _explains(call: Call, state: _State, cuts: Cuts) -> bool:
    if call.kind == "submitted" and _document(call.payload) is None:
        return call.status == 400
    erasures = [m for m in cuts.of_person(state.person) if m.cut >= state.receipt and m.at <= call.end]
    # A request that started after an erasure wrote its mark must not find the order.
    exists = state.document is not None and not any(m.cut < call.received and m.at < call.start for m in erasures)
    if call.kind == "submitted":
        if not exists:
            return False
        emptied = state.first_version.emptied if state.first_version else NEVER
        if _document(call.payload) == state.first and emptied >= call.start and call.status == 201:
            return _answers(call.body, state.id, state.first)
        # An emptied version has no digest, so a repeat of its submission is a conflict.
        return call.status == 409 and (_document(call.payload) != state.first or emptied <= call.end)
    if call.status == 404:
        return state.document is None or bool(erasures)
    if not exists or call.kind == "deleted":
        return False
    document = _edited(state.document or {}, call.payload)
    if document is None:
        return call.status == 400
    return document == state.document and call.status == 200 and _answers(call.body, state.id, document)

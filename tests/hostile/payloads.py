"""Bodies with faults, and the errors that the contract demands for them, written from the published field tables.

Nothing here is imported from the code under test: the tables below repeat the fields and limits of the contract.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from random import Random
from typing import Any

MARKER = "hostile.marker@example.com"
MARKER_SHA256 = "f" * 64
Path = tuple[str | int, ...]
# An order that exists before the first request.
EXISTING_ORDER = {
    "order_id": "known #1", "order_date": "2019-09-05", "customer_id": "c-0", "total": "9.99",
    "shipping_address": {"address_1": "1 Main St", "postal_code": "10843"},
}  # fmt: skip


@dataclass(frozen=True)
class Raw:
    """JSON text that is sent unchanged, for values that json.dumps cannot write."""

    text: str


@dataclass(frozen=True)
class Fault:
    """One fault of a body: its place, the v3 code of its error ("" for any), and `what`: a description."""

    path: Path
    code: str
    what: str

    @property
    def field(self) -> str:
        return field_name(self.path)


def field_name(path: Path) -> str:
    """The path as errors show it: `items[0].price`."""
    out = ""
    for part in path:
        out += f"[{part}]" if isinstance(part, int) else f".{part}" if out else part
    return out


def render(value: Any) -> str:
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(name)}:{render(entry)}" for name, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(render, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


# ------------------------------------------------------------------ the contract

# (kind, required) of each field. Kinds are the keys of _BAD.
_LINES = (
    "label", "first_name", "last_name", "company", "address_1", "address_2", "city", "state", "postal_code", "country",
    "phone",
)  # fmt: skip
_ADDRESS_V3 = dict.fromkeys(_LINES, ("line", False))
_ITEM_V3 = {
    "product_id": ("line", True), "product_variant_id": ("line", False), "sku": ("line", False),
    "name": ("line", True), "brand": ("line", False), "categories": ("strings", False), "price": ("amount", True),
    "quantity": ("amount", False), "discount": ("amount", False), "taxes": ("amount", False),
    "fees": ("amount", False), "shipping": ("amount", False), "total": ("amount", False),
    "product_url": ("url", False), "image_url": ("url", False),
}  # fmt: skip
ACTIVITY = {
    "provider": ("provider", True), "person_id": ("person", False), "email": ("email", False),
    "action": ("action", True), "occurred_at": ("past", False), "order_id": ("order_id", True),
    "order_public_id": ("line", False), "grand_total": ("total", False), "total_discounts": ("total", False),
    "total_taxes": ("total", False), "total_fees": ("total", False), "total_shipping": ("total", False),
    "refund_amount": ("total", False), "currency": ("currency", False), "order_url": ("url", False),
    "items": ("array", False), "billing_address": ("object", False), "shipping_address": ("object", False),
}  # fmt: skip
_ADDRESS_V1 = {
    "name": ("line", False), "company": ("line", False), "address_1": ("line", True), "address_2": ("line", False),
    "city": ("line", False), "state": ("line", False), "postal_code": ("line", True), "country": ("country", False),
}  # fmt: skip
_ITEM_V1 = {
    "identifier": ("line", True), "description": ("text", False), "quantity": ("integer", False),
    "total": ("amount", True), "price": ("amount", False), "category": ("category", False),
    "metadata": ("metadata", False),
}  # fmt: skip
ORDER = {
    "order_id": ("order_id", True), "order_date": ("moment", True), "total": ("total", False),
    "currency": ("currency", False), "customer_id": ("person", False), "customer_email": ("email", False),
    "customer_email_sha256": ("sha256", False), "metadata": ("metadata", False), "order_items": ("array", False),
    "shipping_address": ("object", False), "billing_address": ("object", False),
}  # fmt: skip
PARTS_V3 = {"items": _ITEM_V3, "billing_address": _ADDRESS_V3, "shipping_address": _ADDRESS_V3}
PARTS_V1 = {"order_items": _ITEM_V1, "billing_address": _ADDRESS_V1, "shipping_address": _ADDRESS_V1}

# Values that are no text, no number, too precise, too large, no date or time, or no code of a currency or country.
_NO_TEXT: list[Any] = [True, False, [], ["a"], {}, {"a": 1}, Raw("1.5"), Raw("1e999"), Raw("-1E+400")]
_NO_NUMBER: list[Any] = [
    True, False, [], [1], {}, {"$numberDecimal": "1"}, "abc", "NaN", "Infinity", "-inf", "1,5", "0x10", "1_000",
    "\u0663", " ", "--1", "1e", "1.2.3", "$5", "\x00", "1\x00", "9" * 65, "e5", ".", "+",
]  # fmt: skip
_PRECISE: list[Any] = [  # valid, but rounded
    Raw("1.00001"), Raw("-0.00001"), "0.12345", Raw("99.999949"), Raw("1e-5"), "1e-6", Raw("123456789012345.00005"),
]  # fmt: skip
_TOO_LARGE: list[Any] = [
    10**30, -(10**15), 10**15, Raw("1e999"), Raw("-1e999"), Raw("1E+400000"), "1e30", "1000000000000000",
    Raw("999999999999999.99999999999"), Raw("1.0e15"), Raw("9" * 4000),
]  # fmt: skip
_NO_MOMENT: list[Any] = [
    "yesterday", "2019-13-01", "2019-02-30", "2019-01-17T25:00:00Z", "17/01/2019", 20190117, Raw("1.5"), True, [], {},
    "2019-01-17x20:50:00Z", "2019-01-17T20:50:00+99:00", "0000-00-00", "\u0662\u0660\u0661\u0669-01-01", "9" * 65,
    "9999-12-31T23:59:59-12:00", " ", "2019-01-17\x00", "1e3", "12:00", "2019-W60-1",
]  # fmt: skip
_NO_CODE: list[Any] = [
    "US Dollar",
    "XQQ",
    "U",
    "USDD",
    840,
    True,
    [],
    {},
    "\x00",
    "us\u0131",
    "\u0131nr",
    "\u00df",
    " ",
    Raw("1e999"),
    "A" * 9999,
]


# Kinds of optional fields that accept false, which PHP sends for a missing value.
_ABSENT_IF_FALSE = frozenset({"line", "text", "person", "url"})


def bad(kind: str, required: bool, rng: Random) -> tuple[Any, str]:
    """An invalid value for a field of this kind, and the code of its error."""
    if required and rng.random() < 0.3:
        values: list[Any] = [None, "", _Missing]
        if kind in ("line", "order_id", "provider", "action"):
            values += [" ", "\t\n", "\u3000"]
        return rng.choice(values), "presence_error"
    value, code = _BAD[kind](rng)
    while value is False and not required and kind in _ABSENT_IF_FALSE:
        value, code = _BAD[kind](rng)
    return value, code


class _Missing:
    """A value that leaves the field out."""


def _text(maximum: int, *, numbers: bool = True) -> Any:
    """Picks what is no text of at most `maximum` characters. `numbers`: the field accepts integers, as text."""

    def pick(rng: Random) -> tuple[Any, str]:
        if rng.random() < 0.2:
            if numbers and maximum < 4_000 and rng.random() < 0.3:
                return rng.choice([1, -1]) * 10 ** (maximum + rng.randint(0, 50)), "length_error"
            character = rng.choice(["x", "é", "🍕", "\uffff", "\x01"])
            return character * (maximum + rng.randint(1, 50)), "length_error"
        return rng.choice(_NO_TEXT if numbers else [*_NO_TEXT, 0, 5, -1, 10**50, Raw("0e0")]), "format_error"

    return pick


def _amount(*, may_be_negative: bool) -> Any:
    """Picks what is no amount, or too large, or negative where that is not allowed."""

    def pick(rng: Random) -> tuple[Any, str]:
        kind = rng.randrange(2 if may_be_negative else 3)
        if kind == 0:
            return rng.choice(_NO_NUMBER), "format_error"
        if kind == 1:
            return rng.choice(_TOO_LARGE), "range_error"
        return rng.choice([-1, Raw("-0.01"), "-5", Raw("-1e0"), "-0.0001", -999_999_999_999_999]), "range_error"

    return pick


def _one_of(*values: Any, code: str = "format_error") -> Any:
    """Picks one of the values, which all have the same code."""
    return lambda rng: (rng.choice(values), code)


def _order_id(rng: Random) -> tuple[Any, str]:
    if rng.random() < 0.4:
        return rng.choice([".", "..", "a?b", "?", "a\x00", "a\x1f", "a\x7fb", "a\x85", "a\nb"]), "format_error"
    return _text(255)(rng)


def _provider(rng: Random) -> tuple[Any, str]:
    if rng.random() < 0.3:
        return "p" * rng.randint(256, 400), "length_error"
    wrong = ["My Shop", "myShop", "my-shop", "_shop", "ünï", "shop!", "a b", "shop\x00", " shop", "shop\n", "ｓhop"]
    no_text = [value for value in _NO_TEXT if value is not False]  # false counts as absent
    return rng.choice([*wrong, *no_text, 5, 0]), "format_error"


def _action(rng: Random) -> tuple[Any, str]:
    if rng.random() < 0.2:
        return "placed" * 20, "length_error"
    return rng.choice(["bought", "Placed", "placed ", "PAID", "place", "\x00", *_NO_TEXT, 1]), "format_error"


def _past(rng: Random) -> tuple[Any, str]:
    return rng.choice([*_NO_MOMENT, "9999-01-01", "2999-12-31T00:00:00Z", "3000-01-01T00:00:00+23:59"]), "time_error"


def _metadata(rng: Random) -> tuple[Any, str]:
    kind = rng.randrange(4)
    if kind == 0:
        return rng.choice([True, 5, "x", [], [1], Raw("1e999"), ""]), "format_error"
    if kind == 1:
        return {"k": rng.choice([None, [], {}, {"a": {}}, [1]])}, "format_error"
    if kind == 2:
        return {f"k{n}": n for n in range(11)}, "length_error"
    return rng.choice([{"k" * 41: 1}, {"k": "v" * 201}, {"k": Raw("1." + "1" * 210)}, {"k": 10**250}]), "length_error"


# For each kind: a function that picks an invalid value and the code of its error.
_BAD: dict[str, Any] = {
    "line": _text(1000), "text": _text(10_000), "person": _text(255), "url": _text(8192, numbers=False),
    "amount": _amount(may_be_negative=True), "total": _amount(may_be_negative=False),
    "order_id": _order_id, "provider": _provider, "action": _action, "past": _past, "metadata": _metadata,
    "email": _one_of(
        "ann", "ann@", "@example.com", "a b@example.com", "ann@localhost", "ann@@example.com", 5, True, [], {},
        [MARKER], {"email": MARKER}, Raw("1.5"), "x" * 320 + "@example.com", "ann@example..com", "a\x00 b@example.com",
        code="email_error",
    ),
    "sha256": _one_of("f" * 63, "f" * 65, "g" * 64, "\u0661" * 64, 5, True, [], {}, MARKER, "\x00" * 64, Raw("1" * 64)),
    "moment": _one_of(*_NO_MOMENT, code="time_error"),
    "currency": _one_of(*_NO_CODE), "country": _one_of(*_NO_CODE, "United States", "XX"),
    "strings": _one_of("one", 5, True, {}, [1], [None], [["a"]], ["a", {}], [True], Raw("1e999")),
    "category": _one_of(5, True, {}, [1], [None], [["a"]], ["a", {}], Raw("[1e999]")),
    "array": _one_of({}, "x", 5, True, {"0": {}}, Raw("1e999"), ""),
    "object": _one_of([0], "x", 5, True, [{}], Raw("1e999")),
    "entry": _one_of([], "x", 5, True, None, Raw("1e999")),
}  # fmt: skip


def _integer(rng: Random) -> tuple[Any, str]:
    if rng.random() < 0.3:
        return rng.choice([10**15, -(10**15), 10**30, Raw("1e15")]), "range_error"
    wrong = [Raw("1.5"), "1.5", "x", "", True, False, [], {}, Raw("1e-1"), Raw("1e999"), "--5", "9" * 17, "NaN", " ",
             "\u0663"]  # fmt: skip
    return rng.choice(wrong), "format_error"


_BAD["integer"] = _integer

# ------------------------------------------------------------------ valid values

_ODD_NAMES = [
    "", " ", "__class__", "__proto__", "model_config", "model_fields", "__pydantic_extra__", "pk", "sk", "stamp",
    "n" * 300,
    "\x00", "\uffff", "🍕", "a.b", "items[0]", "$ref", "constructor", "self", "ttl", "_amounts", "context",
    "mailing_address",
]  # fmt: skip
_ODD_VALUES: list[Any] = [
    None, True, "", "\x00", "\uffff\ufffe", Raw("-0.0"), Raw("1e999"), Raw("1E-400"), 10**60, [], {}, [[[]]],
    "x" * 5000,
    {"a": {"b": [1, None]}}, Raw("[" * 60 + "]" * 60), Raw("0.1000000000000000055511151231257827"), "<script>", "'; --",
]  # fmt: skip
_ODD_AMOUNTS: list[Any] = [
    Raw("-0.0"),
    Raw("-0"),
    "-0",
    Raw("0e10"),
    "",
    None,
    Raw("1e2"),
    " 5 ",
    Raw("19.989999999999998"),
    *_PRECISE,
]
_ODD_TEXTS: list[Any] = [
    "",
    None,
    0,
    -5,
    10**30,
    "\x00",
    "\uffff",
    "🍕" * 255,
    "x" * 255,
    "'; DROP TABLE orders; --",
    "\u202e",
]


def order(rng: Random) -> dict[str, Any]:
    """A valid v1 submission with all fields."""
    return {
        "order_id": f"h-{rng.randrange(10**9)}", "order_date": "2019-09-05", "total": "126.50", "currency": "usd",
        "customer_id": "c-1", "customer_email": MARKER, "metadata": {"new_buyer": True},
        "order_items": [
            {"identifier": f"i-{n}", "description": "d", "quantity": 2, "total": Raw("12.5"), "price": "6.25",
             "category": ["a"], "metadata": {"k": 1}}
            for n in range(rng.randint(1, 3))
        ],
        "shipping_address": {"name": "n", "address_1": "1 Main St", "city": "c", "state": "TN", "postal_code": "10843"},
        "billing_address": {"address_1": "2 Main St", "postal_code": "36670-7309", "country": "US"},
    }  # fmt: skip


def activity(rng: Random) -> dict[str, Any]:
    """A valid v3 event with all fields."""
    return {
        "provider": "my_shop", "email": MARKER, "action": rng.choice(["placed", "updated", "refunded", "canceled"]),
        "occurred_at": "2019-01-17T20:50:00Z", "order_id": f"h-{rng.randrange(10**9)}", "order_public_id": "#5",
        "grand_total": Raw("22.99"), "total_taxes": "1.00", "refund_amount": 0, "currency": "USD",
        "order_url": "https://example.com/o/1",
        "items": [
            {"product_id": f"p-{n}", "name": "n", "price": Raw("11.16"), "quantity": 2, "discounts": Raw("5.34"),
             "categories": ["a"], "total": "23.99", "product_tag": "Best"}
            for n in range(rng.randint(1, 3))
        ],
        "billing_address": {"first_name": "Bill", "address_1": "123 Bill St.", "postal_code": "01234"},
        "shipping_address": {"first_name": "Ship", "address_1": "123 Ship St.", "country": "United States"},
    }  # fmt: skip


def _decorate(body: dict[str, Any], fields: dict[str, tuple[str, bool]], spared: set[str], rng: Random) -> None:
    """Adds odd but valid values, which the answer must not name. `spared`: fields that are not changed."""
    for _ in range(rng.choice([0, 0, 1, 2])):
        name = rng.choice(_ODD_NAMES)
        if name not in fields:
            body[name] = copy.copy(rng.choice(_ODD_VALUES))
    for name, (kind, required) in fields.items():
        if required or name in spared or rng.random() > 0.08:
            continue
        if kind in ("total", "amount"):
            body[name] = rng.choice(_ODD_AMOUNTS)
            if name == "discount":
                body.pop("discounts", None)
        elif kind in ("line", "text"):
            body[name] = rng.choice(_ODD_TEXTS)


def spoil_fields(
    body: dict[str, Any],
    fields: dict[str, tuple[str, bool]],
    parts: dict[str, dict[str, tuple[str, bool]]],
    rng: Random,
    *,
    edit: bool = False,
) -> list[Fault]:
    """Makes 1 to 3 fields of a valid body invalid. Returns the faults. An `edit` may leave out fields.

    `fields` and `parts` are tables of the contract. `parts` has the fields of the objects within the body.
    """
    faults: list[Fault] = []
    used: set[str] = set()
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        name = rng.choice(list(fields))
        if name in used or (edit and name == "order_id"):
            continue
        used.add(name)
        part, inside = parts.get(name), rng.random() < 0.8
        if part is None or not inside:
            faults.append(_spoil(body, (name,), *fields[name], rng, edit=edit))
            continue
        entries = body.setdefault(name, {})
        path: tuple[str | int, ...]
        if isinstance(entries, list):
            index = rng.randrange(len(entries))
            if rng.random() < 0.1:
                faults.append(_spoil(entries, (name, index), "entry", False, rng))
                continue
            target, path = entries[index], (name, index)
        else:
            target, path = entries, (name,)
        inner = rng.choice(list(part))
        faults.append(_spoil(target, (*path, inner), *part[inner], rng))
        _decorate(target, part, {inner}, rng)
    if not faults:
        faults.append(_spoil(body, ("currency",), *fields["currency"], rng))
    return faults


def _spoil(target: Any, path: Path, kind: str, required: bool, rng: Random, *, edit: bool = False) -> Fault:
    """Makes the field at `path`, which is in `target`, invalid."""
    value, code = bad(kind, required, rng)
    if value is _Missing and edit:
        value = None  # an edit to null, unlike an absent field, is invalid
    name = path[-1]
    if value is _Missing:
        target.pop(name, None)
    else:
        target[name] = copy.copy(value)
    if name == "discount":
        target.pop("discounts", None)
    what = "left out" if value is _Missing else render(value)[:60]
    return Fault(path, code, f"{field_name(path)} = {what}")


def bad_order(rng: Random, *, edit: bool = False) -> tuple[dict[str, Any], list[Fault]]:
    """The body of a v1 submission or `edit`, and its faults."""
    body = order(rng)
    if edit:
        del body["order_id"]
    kind = rng.random()
    if kind < 0.04 and not edit:
        for name in ("shipping_address", "billing_address", "customer_email"):
            del body[name]
        return body, [Fault(("shipping_address",), "presence_error", "names no customer")]
    if kind < 0.08:
        body["customer_email_sha256"] = MARKER_SHA256
        return body, [Fault(("customer_email_sha256",), "format_error", "is not the hash of the e-mail")]
    if kind < 0.12 and edit:
        body["order_id"] = rng.choice(["another", 5, "", True, [], {}, Raw("1e999"), 10**60])
        return body, [Fault(("order_id",), "format_error", "another order_id")]
    faults = spoil_fields(body, ORDER, PARTS_V1, rng, edit=edit)
    _decorate(body, ORDER, {str(fault.path[0]) for fault in faults} | {"shipping_address", "billing_address"}, rng)
    return body, faults


def bad_activity(rng: Random) -> tuple[dict[str, Any], list[Fault]]:
    """The body of a v3 event, and its faults."""
    body = activity(rng)
    kind = rng.random()
    if kind < 0.05:
        body.pop("email")
        if rng.random() < 0.5:
            body["email"] = rng.choice(["", None, " ", "\t"])
            body["person_id"] = rng.choice(["", None, " "])
        return body, [Fault(("email",), "presence_error", "names no customer")]
    if kind < 0.08:
        body["items"][0] |= {"discount": 1, "discounts": 2}
        return body, [Fault(("items", 0, "discount"), "format_error", "two discounts")]
    faults = spoil_fields(body, ACTIVITY, PARTS_V3, rng)
    names = {str(fault.path[0]) for fault in faults}
    if "person_id" in names:
        # person_id takes precedence, so the wrong e-mail is not reported.
        body["email"] = "ann"
        faults = [fault for fault in faults if fault.path != ("email",)]
    elif "email" not in names and rng.random() < 0.2:
        body |= {"person_id": "p-1", "email": rng.choice([5, "ann", [], MARKER])}
    _decorate(body, ACTIVITY, names | {"email", "person_id", "billing_address", "shipping_address"}, rng)
    return body, faults


# ------------------------------------------------------------------ unreadable bodies


def unreadable(body: dict[str, Any], rng: Random) -> tuple[bytes, str]:
    """A body that the API must refuse to parse, and a description of its fault."""
    text = render(body)
    where = rng.choice(list(body))
    kind = rng.randrange(14)
    if kind == 0:
        return render(body | {where: Raw(rng.choice(["NaN", "Infinity", "-Infinity", "nan"]))}).encode(), "NaN"
    if kind == 1:
        return (text[:-1] + f",{json.dumps(where)}:1}}").encode(), f"{where} is a duplicate key"
    if kind == 2:
        return (text[:-1] + r',"x":"\ud800"}').encode(), "a lone surrogate"
    if kind == 3:
        return (text[:-1] + r',"\udfff":1}').encode(), "a lone surrogate in a key"
    if kind == 4:
        depth = rng.choice([101, 150, 5000, 60_000])
        return (text[:-1] + ',"x":' + "[" * depth + "]" * depth + "}").encode(), "nested too deeply"
    if kind == 5:
        return (text[:-1] + ',"x":' + '{"a":' * 500 + "1" + "}" * 500 + "}").encode(), "nested too deeply"
    if kind == 6:
        place = rng.randrange(1, len(text) - 1)
        return text[:place].encode(), "cut short"
    if kind == 7:
        return b"\xff\xfe" + text.encode("utf-16-le"), "UTF-16"
    if kind == 8:
        return text[:-1].encode() + rng.choice(
            [b',"x":"\xff"}', b',"x":"\xed\xa0\x80"}', b',"\xc0\x80":1}']
        ), "bad UTF-8"
    if kind == 9:
        return text.encode() + rng.choice([b"}", b"\x00", b" x", b"{}", b","]), "text after the JSON"
    if kind == 10:
        return (text[:-1] + ',"x":"a\x00\nb"}').encode(), "an unescaped control character"
    if kind == 11:
        return render(
            body | {where: Raw(rng.choice(["1" * 5000, "01", "+1", ".5", "1.", "0x1", "'a'", "1e" + "9" * 30]))}
        ).encode(), "no number"
    if kind == 12:
        return b"", "empty"
    return rng.choice([b" ", b"\x00", b"undefined", b"{", b"[", b'"', b"a=1&b=2", b"<xml/>", b"\x1f\x8b"]), "no JSON"


NO_OBJECTS = ["null", "[]", "5", "true", '"x"', "[{}]", "1e999", "-0.0", "[[[]]]"]

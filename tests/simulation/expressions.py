"""The part of DynamoDB's expressions that the code uses. Anything else raises Unknown."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Context, Decimal, Inexact
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

Item = dict[str, dict[str, Any]]  # DynamoDB's typed values
Values = dict[str, dict[str, Any]]
Names = dict[str, str]
Value = dict[str, Any] | None
Holds = Callable[[Item, Names, Values], bool]
Operand = Callable[[Item, Names, Values], Value]

_TOKEN = re.compile(r"\s*(?:(?P<sign><>|<=|>=|[=<>(),+\-.\[\]])|(?P<word>[#:]?[A-Za-z0-9_]+))")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "<>": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
_WORDS = frozenset({"AND", "OR", "NOT", "SET", "ADD", "REMOVE", "DELETE", "BETWEEN", "IN"})


def _reserved_words() -> frozenset[str]:
    """DynamoDB's published list, from a file of moto, which is found without importing moto (that takes a second)."""
    spec = find_spec("moto")
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / "dynamodb" / "parsing" / "reserved_keywords.txt"
    return frozenset(path.read_text().split())


RESERVED = _reserved_words()
# Numbers have at most 38 significant digits; longer ones are refused.
NUMBERS = Context(prec=38, traps=[Inexact])


class Unknown(BaseException):
    """A call uses something that this store does not implement. Not an Exception, so that no retry can hide it."""


class Refused(Exception):
    """A call that DynamoDB answers with a ValidationException."""


@dataclass(frozen=True, slots=True)
class Condition:
    holds: Holds
    used: frozenset[str]  # its placeholders: DynamoDB refuses a call that defines others


@dataclass(frozen=True, slots=True)
class Update:
    apply: Callable[[Item, Names, Values], Item]
    used: frozenset[str]


@dataclass(frozen=True, slots=True)
class Projection:
    names: Callable[[Names], list[str]]
    used: frozenset[str]


@dataclass(frozen=True, slots=True)
class KeyCondition:
    """An equality of the partition key `hash`, and a comparison of the sort key `range`, if that is not empty."""

    hash: str
    hash_value: str
    range: str
    holds: Callable[[str, Values], bool]
    prefix: str  # of begins_with: the placeholder of the beginning of the sort key; else empty
    used: frozenset[str]


def number(text: str) -> str:
    """The number as DynamoDB returns it: no exponent, no superfluous zeros."""
    value = NUMBERS.create_decimal(text)
    if not value:
        return "0"
    plain = f"{value:f}"
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def _attribute(token: str, text: str) -> str:
    """An attribute name without placeholder. Raises ClientError for a reserved word, which needs one (#name)."""
    if not (token[0].isalpha() or token[0] == "_") or token in _WORDS:
        raise Unknown(f"{token!r} is no attribute in {text!r}")
    if token.upper() in RESERVED:
        message = f"Invalid expression: Attribute name is a reserved keyword; reserved keyword: {token}"
        raise ClientError({"Error": {"Code": "ValidationException", "Message": message}}, "")
    return token


def _named(token: str, text: str) -> Callable[[Names], str]:
    name = _attribute(token, text)
    return lambda names: name


class _Parser:
    def __init__(self, text: str) -> None:
        self.text, self.tokens, self.at = text, [], 0
        position = 0
        while position < len(text.rstrip()):
            match = _TOKEN.match(text, position)
            if match is None:
                raise Unknown(f"{text!r} at {position}")
            self.tokens.append(match.group("sign") or match.group("word"))
            position = match.end()
        self.used = frozenset(token for token in self.tokens if token[0] in "#:")

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, *expected: str) -> str:
        token = self.peek()
        if not token or (expected and token not in expected):
            raise Unknown(f"{token!r} in {self.text!r}, expected {expected}")
        self.at += 1
        return token

    def end(self) -> None:
        if self.peek():
            raise Unknown(f"{self.peek()!r} in {self.text!r}")

    def path(self) -> Callable[[Names], str]:
        token = self.take()
        if token[0] == "#":
            return lambda names: names[token]
        if self.peek() == "(":
            raise Unknown(f"{token!r} is no function known here, in {self.text!r}")
        return _named(token, self.text)

    def operand(self) -> Operand:
        if self.peek().startswith(":"):
            token = self.take()
            return lambda item, names, values: values[token]
        name = self.path()
        return lambda item, names, values: item.get(name(names))

    # NOT binds closest, then AND, then OR.
    def condition(self) -> Holds:
        left = self._conjunction()
        while self.peek().upper() == "OR":
            self.take()
            left = _either(left, self._conjunction())
        return left

    def _conjunction(self) -> Holds:
        left = self._negation()
        while self.peek().upper() == "AND":
            self.take()
            left = _both(left, self._negation())
        return left

    def _negation(self) -> Holds:
        if self.peek().upper() == "NOT":
            self.take()
            inner = self._negation()
            return lambda item, names, values: not inner(item, names, values)
        if self.peek() == "(":
            self.take()
            inner = self.condition()
            self.take(")")
            return inner
        token = self.peek()
        if token in ("attribute_exists", "attribute_not_exists"):
            self.take()
            self.take("(")
            name = self.path()
            self.take(")")
            wanted = token == "attribute_exists"
            return lambda item, names, values: (name(names) in item) is wanted
        if token == "begins_with":
            self.take()
            self.take("(")
            whole = self.operand()
            self.take(",")
            start = self.operand()
            self.take(")")
            return _begins(whole, start)
        left = self.operand()
        compare = _COMPARE[self.take(*_COMPARE)]
        return _compared(left, self.operand(), compare)


def _either(a: Holds, b: Holds) -> Holds:
    return lambda item, names, values: a(item, names, values) or b(item, names, values)


def _both(a: Holds, b: Holds) -> Holds:
    return lambda item, names, values: a(item, names, values) and b(item, names, values)


def _begins(whole: Operand, start: Operand) -> Holds:
    def holds(item: Item, names: Names, values: Values) -> bool:
        a, b = whole(item, names, values), start(item, names, values)
        return a is not None and b is not None and "S" in a and "S" in b and a["S"].startswith(b["S"])

    return holds


def _compared(left: Operand, right: Operand, compare: Callable[[Any, Any], bool]) -> Holds:
    unequal = compare is _COMPARE["<>"]

    def holds(item: Item, names: Names, values: Values) -> bool:
        a, b = left(item, names, values), right(item, names, values)
        if a is None or b is None:
            return unequal
        (kind, x), (other, y) = next(iter(a.items())), next(iter(b.items()))
        if kind != other:
            return unequal
        if kind == "N":
            return compare(Decimal(x), Decimal(y))
        if kind not in ("S", "B", "BOOL"):
            raise Unknown(f"a comparison of {kind}")
        return compare(x, y)

    return holds


@lru_cache(maxsize=4096)
def condition(text: str) -> Condition:
    parser = _Parser(text)
    holds = parser.condition()
    parser.end()
    return Condition(holds, parser.used)


@lru_cache(maxsize=4096)
def update(text: str) -> Update:
    """Parses SET path = operand, ADD path :number and REMOVE path."""
    parser = _Parser(text)
    sets: list[tuple[Any, Any]] = []
    adds: list[tuple[Any, str]] = []
    removes: list[Any] = []
    sections: set[str] = set()
    while parser.peek():
        section = parser.take("SET", "ADD", "REMOVE")
        if section in sections:
            raise Unknown(f"{section} twice in {text!r}")
        sections.add(section)
        while True:
            path = parser.path()
            if section == "SET":
                parser.take("=")
                sets.append((path, parser.operand()))
            elif section == "ADD":
                token = parser.take()
                if not token.startswith(":"):
                    raise Unknown(f"ADD of {token!r}")
                adds.append((path, token))
            else:
                removes.append(path)
            if parser.peek() != ",":
                break
            parser.take()

    def apply(item: Item, names: Names, values: Values) -> Item:
        new = dict(item)
        touched: set[str] = set()

        def attribute(path: Any) -> str:
            """Returns the attribute to change. Raises Refused if another part of the expression changes it, too."""
            name: str = path(names)
            if name in touched:
                raise Refused(f"Two document paths overlap with each other: {name}")
            touched.add(name)
            return name

        for path, operand in sets:
            value = operand(item, names, values)
            if value is None:
                raise Refused("The provided expression refers to an attribute that does not exist in the item")
            new[attribute(path)] = value
        for path, token in adds:
            name, value = attribute(path), values[token]
            if set(value) != {"N"}:
                raise Unknown(f"ADD of {value}")
            old = item.get(name, {"N": "0"})
            if "N" not in old:
                raise Refused("An operand in the update expression has an incorrect data type")
            try:
                new[name] = {"N": number(str(NUMBERS.add(Decimal(old["N"]), Decimal(value["N"]))))}
            except Inexact:
                raise Refused("Attempting to store more than 38 significant digits in a Number") from None
        for path in removes:
            new.pop(attribute(path), None)
        return new

    return Update(apply, parser.used)


@lru_cache(maxsize=4096)
def key_condition(text: str) -> KeyCondition:
    """Parses `hash = :value`, alone or with AND and begins_with(range, :v), a comparison, or BETWEEN :v AND :w."""
    parser = _Parser(text)
    hash_name = parser.take()
    parser.take("=")
    hash_value = parser.take()
    range_name, prefix = "", ""
    holds: Callable[[str, Values], bool] = lambda key, values: True  # noqa: E731
    if parser.peek().upper() == "AND":
        parser.take()
        if parser.peek() == "begins_with":
            parser.take()
            parser.take("(")
            range_name = parser.take()
            parser.take(",")
            prefix = parser.take()
            parser.take(")")
            holds = lambda key, values: key.startswith(values[prefix]["S"])  # noqa: E731
        else:
            range_name = parser.take()
            operator, token = parser.take("=", "<", "<=", ">", ">=", "BETWEEN"), parser.take()
            if operator == "BETWEEN":
                parser.take("AND")
                last = parser.take()
                holds = lambda key, values: values[token]["S"] <= key <= values[last]["S"]  # noqa: E731
            else:
                compare = _COMPARE[operator]
                holds = lambda key, values: compare(key, values[token]["S"])  # noqa: E731
    parser.end()
    for name in filter(None, (hash_name, range_name)):
        _attribute(name, text)
    if "#" in text or not hash_value.startswith(":") or (prefix and not prefix.startswith(":")):
        raise Unknown(text)
    return KeyCondition(hash_name, hash_value, range_name, holds, prefix, parser.used)


@lru_cache(maxsize=4096)
def projection(text: str) -> Projection:
    """Parses a list of attribute names."""
    parser = _Parser(text)
    paths = [parser.path()]
    while parser.peek():
        parser.take(",")
        paths.append(parser.path())
    return Projection(lambda names: [path(names) for path in paths], parser.used)

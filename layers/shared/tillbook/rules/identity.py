"""Identities of persons, orders and events as opaque keys of bounded length.

The algorithms must never change, since stored items have these keys: another algorithm needs another version tag.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from base64 import urlsafe_b64encode
from typing import Literal, NamedTuple

from tillbook.rules.json_text import Json, dumps

PersonKind = Literal["email", "person", "customer"]
Source = Literal["orders_api", "shopper_activity"]
SOURCES: tuple[Source, ...] = ("orders_api", "shopper_activity")
SOURCE_LETTER: dict[str, str] = {"orders_api": "o", "shopper_activity": "s"}  # the source in keys of items

_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)
NOBODY = frozenset({"0", "-1", "0.0", "-1.0", "null", "undefined", "none", "nan", "guest", "anonymous"})
_SPACE = (  # every white-space character of Unicode
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
# Characters that are often copied together with an address: quotes, brackets, and ends of sentences and list entries.
_BEFORE = _SPACE + "<>()[]\"'`\\,;“”„‘’‚«»‹›"
_BEHIND = _BEFORE + "."
_ACCOUNT = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


def is_account_id(text: str) -> bool:
    return _ACCOUNT.fullmatch(text) is not None


def is_email(text: str) -> bool:
    """Returns whether the cleaned text looks like an e-mail address: one @, no white space, a domain with a dot."""
    if "@" not in text or len(text) > 1000:
        return False
    cleaned = _cleaned(text)
    return len(cleaned) <= 320 and _EMAIL.fullmatch(cleaned) is not None


def _cleaned(text: str) -> str:
    """Returns the address in `<ann@b.co>`, `"ann@b.co",`, `mailto:ann@b.co?subject=…` or `Ann Miller <ann@b.co>`."""
    text = _bare(without_invisible(text)).rpartition("<")[2]
    return _bare(text[7:].partition("?")[0]) if text[:7].lower() == "mailto:" else text


def _bare(text: str) -> str:
    return text.lstrip(_BEFORE).rstrip(_BEHIND)


def without_invisible(text: str) -> str:
    """Returns the text without format and control characters (U+200B, U+FEFF, NUL); white space is kept."""
    if text.isprintable():
        return text
    return "".join(c for c in text if c.isspace() or unicodedata.category(c) not in ("Cf", "Cc"))


def is_nobody(text: str) -> bool:
    """Returns whether an id identifies nobody: shops send such ids for guests, programs for a missing value."""
    return without_invisible(text).strip().lower() in NOBODY


def without_emails(value: Json) -> Json:
    """Returns the value with each text that is exactly an e-mail address replaced by its hash, at any depth.

    Keys of objects are replaced, too.
    """
    if isinstance(value, str):
        return email_sha256(value) if "@" in value and is_email(value) else value
    if isinstance(value, dict):
        return {without_emails(name): without_emails(entry) for name, entry in value.items()}
    return [without_emails(entry) for entry in value] if isinstance(value, list) else value


def is_sha256(text: str) -> bool:
    return _SHA256.fullmatch(text) is not None


def email_sha256(email: str) -> str:
    """Returns the SHA-256 (64 hexadecimal digits) of the cleaned, lower-cased address."""
    return hashlib.sha256(_cleaned(email).lower().encode()).hexdigest()


def short_hash(text: str) -> str:
    """Returns the first 128 bits of the SHA-256, as 22 characters of URL-safe base64."""
    return urlsafe_b64encode(hashlib.sha256(text.encode()).digest()[:16]).decode().rstrip("=")


class Person(NamedTuple):
    """A person of an account. `value` is the e-mail's SHA-256, or the person's or customer's id as the shop sent it."""

    kind: PersonKind
    value: str

    def id_in(self, account: str) -> str:
        """Returns our own id of the person: 32 hexadecimal digits that never change."""
        return hashlib.sha256(f"person-1\n{account}\n{self.kind}\n{self.value}".encode()).hexdigest()[:32]


def person_of(kind: Literal["person", "customer"], value: str) -> Person:
    """Returns the person of an id. An id that is an e-mail address is treated as one, and stored as its hash."""
    return Person("email", email_sha256(value)) if is_email(value) else Person(kind, value)


def order_key(source: Source, provider: str, order_id: str) -> str:
    """Returns the key of an order: 22 characters, however long the order_id is. `provider` is empty for v1."""
    return short_hash(f"order-1\n{source}\n{provider}\n{order_id}")


def payload_hash(payload: dict[str, Json]) -> str:
    """Returns the hash of an event as sent, without defaults: keys sorted, numbers by value, e-mails hashed."""
    hashed = {
        name: f"sha256:{email_sha256(value)}"
        if isinstance(value, str) and (name == "email" or (name == "person_id" and is_email(value)))
        else value
        for name, value in payload.items()
    }
    return short_hash(f"payload-1\n{dumps(hashed, canonical=True)}")


def keyed_event_id(account: str, idempotency_key: str, position: int) -> str:
    """Returns the id of an event that was sent with an idempotency key. `position` is its index in the batch."""
    return short_hash(f"key-1\n{account}\n{position}\n{idempotency_key}")


def request_event_id(request_id: str) -> str:
    """Returns the id of an event without an idempotency key and occurred_at, so that each request is a new event."""
    return short_hash(f"request-1\n{request_id}")

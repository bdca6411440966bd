"""Who a person is, which order an order is, which event an event is: all as bounded, opaque keys.

Frozen. What stands in a ledger was found under these keys; another algorithm needs another version tag.
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

_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)
NOBODY = frozenset({"0", "-1", "0.0", "-1.0", "null", "undefined", "none", "nan", "guest", "anonymous"})
_ACCOUNT = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


def is_account_id(text: str) -> bool:
    return _ACCOUNT.fullmatch(text) is not None


def is_email(text: str) -> bool:
    """Shaped like an e-mail address once cleaned: one @, no white space, a domain with a dot."""
    return len(text) <= 320 and _EMAIL.fullmatch(_cleaned(text)) is not None


def _cleaned(text: str) -> str:
    """Without the invisible format characters that a pasted address may carry (U+200B, U+FEFF), and trimmed."""
    if not text.isascii():
        text = "".join(c for c in text if unicodedata.category(c) != "Cf")
    return text.strip()


def is_nobody(text: str) -> bool:
    """Whether an id names nobody: shops send such ids for guests, and programs write them for a missing value."""
    return text.strip().lower() in NOBODY


def without_emails(value: Json) -> Json:
    """The same with each text that as a whole is an e-mail address replaced by its hash, at any depth, keys too."""
    if isinstance(value, str):
        return email_sha256(value) if "@" in value and is_email(value) else value
    if isinstance(value, dict):
        return {without_emails(name): without_emails(entry) for name, entry in value.items()}
    return [without_emails(entry) for entry in value] if isinstance(value, list) else value


def is_sha256(text: str) -> bool:
    return _SHA256.fullmatch(text) is not None


def email_sha256(email: str) -> str:
    """SHA-256 (64 hex digits) of the cleaned, lower-cased address."""
    return hashlib.sha256(_cleaned(email).lower().encode()).hexdigest()


def short_hash(text: str) -> str:
    """128 bits of SHA-256 as 22 characters."""
    return urlsafe_b64encode(hashlib.sha256(text.encode()).digest()[:16]).decode().rstrip("=")


class Person(NamedTuple):
    """`value`: the e-mail's SHA-256, or the person's or customer's id as the shop has it."""

    kind: PersonKind
    value: str

    def id_in(self, account: str) -> str:
        """Our own id of this person: 32 hex digits, the same for the same person for ever."""
        return hashlib.sha256(f"person-1\n{account}\n{self.kind}\n{self.value}".encode()).hexdigest()[:32]


def person_of(kind: Literal["person", "customer"], value: str) -> Person:
    """An id that is shaped like an e-mail address is that address, and is not kept in clear."""
    return Person("email", email_sha256(value)) if is_email(value) else Person(kind, value)


def order_key(source: Source, provider: str, order_id: str) -> str:
    """22 characters, whatever the length of the order_id."""
    return short_hash(f"order-1\n{source}\n{provider}\n{order_id}")


def payload_hash(payload: dict[str, Json]) -> str:
    """Of an event as it was sent: keys sorted, numbers by value, e-mails hashed, no defaults added."""
    hashed = {
        name: f"sha256:{email_sha256(value)}"
        if isinstance(value, str) and (name == "email" or (name == "person_id" and is_email(value)))
        else value
        for name, value in payload.items()
    }
    return short_hash(f"payload-1\n{dumps(hashed, canonical=True)}")


def keyed_event_id(account: str, idempotency_key: str, position: int) -> str:
    return short_hash(f"key-1\n{account}\n{position}\n{idempotency_key}")


def request_event_id(request_id: str) -> str:
    return short_hash(f"request-1\n{request_id}")

"""API keys: secrets of an account, of which only the SHA-256 is kept."""

from __future__ import annotations

import hashlib
import time
from base64 import b64decode
from binascii import Error as Base64Error
from contextlib import suppress
from typing import Any, NamedTuple

from tillbook.aws.items import attributes, plain_item, raw, record_of
from tillbook.rules import times
from tillbook.rules.errors import NotFound, Unauthenticated

ROLES = ("ingest", "admin")
CACHE_SECONDS = 60.0
_CACHE_SIZE = 1000


class ApiKey(NamedTuple):
    """What may be shown of a key; the secret is nowhere.

    Key: `#key/{sha256}`, `k`.

    Attributes:
        id, label: how it is named. account, role: what it is for. created: a time. used: the day of last use
        (YYYY-MM-DD). revoked: whether it is.
    """

    id: str
    account: str
    role: str
    label: str
    created: str
    used: str = ""
    revoked: bool = False

    def may(self, role: str) -> bool:
        return role == self.role or self.role == "admin"


class KeyEntry(NamedTuple):
    """Lists the keys of an account.

    Key: `{account}/k`, `{key id}`.

    Attributes: digest, the SHA-256 of a key.
    """

    digest: str


def sha256_of(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


class Keys:
    """Looked up by hash; a found key is kept for a minute, so a revoked one works for at most that long."""

    def __init__(self, client: Any, table: str) -> None:
        self.client, self.table = client, table
        self._cache: dict[str, tuple[float, ApiKey]] = {}

    def authenticate(self, secret: str) -> ApiKey:
        """Raises Unauthenticated for an unknown or revoked key."""
        digest = sha256_of(secret)
        until, key = self._cache.get(digest, (0.0, None))
        if key is None or until < time.monotonic():
            key = self._read(digest)
            if key is None or key.revoked:
                self._cache.pop(digest, None)
                raise Unauthenticated("The API key is unknown or revoked.")
            if len(self._cache) >= _CACHE_SIZE:
                self._cache.clear()
            self._cache[digest] = (time.monotonic() + CACHE_SECONDS, key)
            self._note_use(digest, key)
        return key

    def create(self, account: str, role: str, label: str = "", *, secret: str | None = None) -> tuple[ApiKey, str]:
        """A new key and its secret, which is told this once. Raises ValueError for an unknown role."""
        if role not in ROLES:
            raise ValueError(f"role must be one of {', '.join(ROLES)}")
        if secret is None:
            import secrets  # here, since no function makes keys

            secret = f"tb_{secrets.token_urlsafe(32)}"
        digest = sha256_of(secret)
        key = ApiKey(digest[:12], account, role, label, times.iso(times.now()[:14] + "000000"))
        item = {"pk": f"#key/{digest}", "sk": "k"} | attributes(key)
        entry = {"pk": f"{account}/k", "sk": key.id} | attributes(KeyEntry(digest))
        self.client.transact_write_items(
            TransactItems=[
                {"Put": {"TableName": self.table, "Item": raw(item)}},
                {"Put": {"TableName": self.table, "Item": raw(entry)}},
            ]
        )
        return key, secret

    def of(self, account: str) -> list[ApiKey]:
        return [key for digest in self._digests(account) if (key := self._read(digest))]

    def revoke(self, account: str, key_id: str) -> ApiKey:
        """Raises NotFound. Warm functions notice within a minute."""
        for digest in self._digests(account):
            if digest.startswith(key_id) and len(key_id) >= 12:
                self.client.update_item(
                    TableName=self.table, Key=raw({"pk": f"#key/{digest}", "sk": "k"}),
                    UpdateExpression="SET revoked = :yes",
                    ExpressionAttributeValues={":yes": {"BOOL": True}},
                )  # fmt: skip
                key = self._read(digest)
                if key:
                    return key
        raise NotFound(f"Account {account} has no key {key_id}.")

    def _digests(self, account: str) -> list[str]:
        arguments: dict[str, Any] = {
            "TableName": self.table, "KeyConditionExpression": "pk = :pk", "ConsistentRead": True,
            "ExpressionAttributeValues": {":pk": {"S": f"{account}/k"}},
        }  # fmt: skip
        digests: list[str] = []
        while True:
            page = self.client.query(**arguments)
            digests += [item["digest"]["S"] for item in page["Items"]]
            if "LastEvaluatedKey" not in page:
                return digests
            arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def _read(self, digest: str) -> ApiKey | None:
        answer = self.client.get_item(TableName=self.table, Key=raw({"pk": f"#key/{digest}", "sk": "k"}))
        if not answer.get("Item"):
            return None
        return record_of(ApiKey, plain_item(answer["Item"]))

    def _note_use(self, digest: str, key: ApiKey) -> None:
        """The day of last use: one write a day for each warm function."""
        from botocore.exceptions import BotoCoreError, ClientError

        today = times.iso(times.now())[:10]
        if key.used >= today:
            return
        # Where it fails another function noted it, or will: no order waits for a note.
        with suppress(ClientError, BotoCoreError):
            self.client.update_item(
                TableName=self.table, Key=raw({"pk": f"#key/{digest}", "sk": "k"}),
                UpdateExpression="SET used = :today",
                # Only a key that stands, and never back to an earlier day.
                ConditionExpression="attribute_exists(pk) AND (attribute_not_exists(used) OR used < :today)",
                ExpressionAttributeValues={":today": {"S": today}},
            )  # fmt: skip


def secret_of(authorization: str | None, *, basic: bool) -> str:
    """The key of an Authorization header: Bearer, or (v3) Basic with the key as the user name.

    Clients in use send the user name with and without the colon, and some break the base64 by a newline.
    Raises Unauthenticated.
    """
    scheme, _, credentials = (authorization or "").strip().partition(" ")
    secret = ""
    if scheme.lower() == "bearer":
        secret = credentials.strip()
    elif scheme.lower() == "basic" and basic:
        try:
            encoded = "".join(credentials.split())
            secret = b64decode(encoded + "=" * (-len(encoded) % 4), validate=True).decode().partition(":")[0].strip()
        except (Base64Error, ValueError):
            secret = ""
    if not secret or len(secret) > 512:
        raise Unauthenticated("An API key is required.")
    return secret

"""API keys of accounts. Only the SHA-256 of a key's secret is stored."""

from __future__ import annotations

import hashlib
import time
from base64 import b64decode
from binascii import Error as Base64Error
from contextlib import suppress
from typing import Any, NamedTuple

from tillbook.aws.items import attributes, plain_item, raw, record_of
from tillbook.rules import times
from tillbook.rules.errors import Conflict, NotFound, Unauthenticated

ROLES = ("ingest", "admin")
MOST_KEYS = 1000  # in an account, including revoked keys; they are listed on one page
CACHE_SECONDS = 60.0
_CACHE_SIZE = 1000


class ApiKey(NamedTuple):
    """An API key without its secret, which is not stored.

    Key: `#key/{sha256}`, `k`.

    Attributes:
        id: the first 12 digits of the SHA-256. label: name to display. account, role: decide what the key may do.
        created: time of creation (ISO 8601). used: day of last use (YYYY-MM-DD). revoked: whether it is revoked.
        created_by: id of the key that created it; empty if the command line did.
    """

    id: str
    account: str
    role: str
    label: str
    created: str
    used: str = ""
    revoked: bool = False
    created_by: str = ""

    def may(self, role: str) -> bool:
        return role == self.role or self.role == "admin"

    def shown(self) -> dict[str, Any]:
        """Returns the key as the API shows it to its own user."""
        return {"id": self.id, "label": self.label or None, "role": self.role}


class KeyEntry(NamedTuple):
    """An entry in the list of an account's keys.

    Key: `{account}/k`, `{key id}`.

    Attributes: digest: the SHA-256 of the key's secret.
    """

    digest: str


def sha256_of(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


class Keys:
    """The API keys, by hash. They are cached for a minute, so a revoked key is accepted for up to another minute."""

    def __init__(self, client: Any, table: str) -> None:
        self.client, self.table = client, table
        self._cache: dict[str, tuple[float, ApiKey]] = {}

    def authenticate(self, secret: str) -> ApiKey:
        """Returns the key of a secret. Raises Unauthenticated for an unknown or revoked key."""
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

    def create(
        self, account: str, role: str, label: str = "", *, secret: str | None = None, created_by: str = ""
    ) -> tuple[ApiKey, str]:
        """Creates a key with role and label that `contract.management.new_key` checked.

        Returns the key and its secret, which cannot be read later. Raises Conflict if the account has too many keys.
        """
        if len(self._digests(account)) >= MOST_KEYS:
            raise Conflict(f"The account has {MOST_KEYS} keys, which is the limit.")
        if secret is None:
            import secrets  # imported here, since few functions create keys

            secret = f"tb_{secrets.token_urlsafe(32)}"
        digest = sha256_of(secret)
        created = times.iso(times.now()[:14] + "000000")
        key = ApiKey(digest[:12], account, role, label, created, created_by=created_by)
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
        """Returns all keys of an account, newest first."""
        from tillbook.aws.reads import batch_get  # imported here, since few functions list keys

        places = [raw({"pk": f"#key/{digest}", "sk": "k"}) for digest in self._digests(account)]
        found = [record_of(ApiKey, item) for item in batch_get(self.client, self.table, places)]
        return sorted(found, key=lambda key: (key.created, key.id), reverse=True)

    def revoke(self, account: str, key_id: str) -> ApiKey:
        """Revokes a key for ever and returns it. Running functions notice this within a minute. Raises NotFound."""
        for digest in self._digests(account):
            if digest[:12] == key_id:
                self.client.update_item(
                    TableName=self.table,
                    Key=raw({"pk": f"#key/{digest}", "sk": "k"}),
                    UpdateExpression="SET revoked = :yes",
                    ExpressionAttributeValues={":yes": {"BOOL": True}},
                )
                if key := self._read(digest, consistent=True):
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

    def _read(self, digest: str, *, consistent: bool = False) -> ApiKey | None:
        answer = self.client.get_item(
            TableName=self.table, Key=raw({"pk": f"#key/{digest}", "sk": "k"}), ConsistentRead=consistent
        )
        if not answer.get("Item"):
            return None
        return record_of(ApiKey, plain_item(answer["Item"]))

    def _note_use(self, digest: str, key: ApiKey) -> None:
        """Notes the day of last use. Each key is written about once a day, by the first instance that reads it."""
        from botocore.exceptions import BotoCoreError, ClientError

        today = times.iso(times.now())[:10]
        if key.used >= today:
            return
        # An error is ignored: the request must not fail, and another function has noted the day, or will.
        with suppress(ClientError, BotoCoreError):
            self.client.update_item(
                TableName=self.table,
                Key=raw({"pk": f"#key/{digest}", "sk": "k"}),
                UpdateExpression="SET used = :today",
                # The key must exist, and the day must not move back.
                ConditionExpression="attribute_exists(pk) AND (attribute_not_exists(used) OR used < :today)",
                ExpressionAttributeValues={":today": {"S": today}},
            )


def secret_of(authorization: str | None, *, basic: bool) -> str:
    """Returns the secret in an Authorization header: Bearer, or (if `basic`) Basic with the secret as the user name.

    Real clients send the user name with and without the colon, and some put a newline into the base64. Raises
    Unauthenticated.
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

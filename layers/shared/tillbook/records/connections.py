"""Connections to platforms of shops that send webhooks, and the secrets that sign the webhooks.

If we may choose the secret (WooCommerce), it is derived from one key of the stack and stored nowhere. If the platform
generates it (Shopify), it is stored encrypted (aws.secrets). After a rotation the old secret remains valid for a while.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from base64 import urlsafe_b64encode
from typing import Any, NamedTuple

from tillbook.aws.items import attributes, plain_item, raw, record_of
from tillbook.aws.retries import is_transient
from tillbook.aws.secrets import Secrets
from tillbook.aws.writes import write_if
from tillbook.contract.platforms.signatures import PLATFORMS, header, is_signed
from tillbook.records.last_deliveries import LastDeliveries
from tillbook.rules import times
from tillbook.rules.errors import Conflict, NotFound, Unauthenticated, Unavailable
from tillbook.rules.identity import is_account_id

CACHE_SECONDS = 60.0
MOST_CONNECTIONS = 50  # in an account; they are listed on one page
_CACHE_SIZE = 1000
_STACK_KEY = "webhook-key"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)


class Connection(NamedTuple):
    """A connection to a platform that sends webhooks.

    Key: `{account}/c`, `{name}`.

    Attributes:
        account, name: as in the connection's URL. platform: a key of contract.platforms.signatures.PLATFORMS.
        provider: the provider of its orders. created: time of creation (ISO 8601).
        secret, previous: ids of the current and the previous secret, which is valid until `overlap` (a stamp).
    """

    account: str
    name: str
    platform: str
    provider: str
    created: str
    secret: str
    previous: str = ""
    overlap: str = ""

    @property
    def id(self) -> str:
        """The connection's id in logs and counters, in place of an API key's id. It is unique across accounts."""
        return f"connection-{self.account}-{self.name}"

    @property
    def label(self) -> str:
        return f"connection {self.name}"

    def secrets(self) -> list[str]:
        """Returns the ids of the secrets that are valid now."""
        return [self.secret, *([self.previous] if self.previous and times.now() < self.overlap else [])]


class Connections:
    """The connections. They are cached for a minute, so a removal or a new secret takes effect within a minute."""

    def __init__(self, client: Any, table: str, secrets: Secrets) -> None:
        self.client, self.table, self.vault = client, table, secrets
        self.last = LastDeliveries(client, table)
        self._cache: dict[tuple[str, str], tuple[float, Connection, list[str]]] = {}

    def authenticate(self, account: str, name: str, headers: Any, body: bytes) -> Connection:
        """Returns the connection of a signed webhook.

        Raises Unauthenticated, with the same message for every cause, or Unavailable if the secret cannot be read.
        """
        until, connection, secrets = self._cache.get((account, name), (0.0, None, []))
        if connection is None or until < time.monotonic():
            self._cache.pop((account, name), None)
            connection = self._read(account, name) if is_account_id(account) and _NAME.fullmatch(name) else None
            secrets = self._secrets(connection) if connection else []
            if connection:
                if len(self._cache) >= _CACHE_SIZE:
                    self._cache.clear()
                self._cache[account, name] = time.monotonic() + CACHE_SECONDS, connection, secrets
        names = PLATFORMS[connection.platform].signature if connection else ()
        if connection is None or not is_signed(secrets, body, header(headers, names)):
            if connection is not None:
                self.last.note(connection, "refused")
            raise Unauthenticated("The signature is missing or wrong, or there is no such connection.")
        return connection

    # --------------------------------------------- for the command line and admins

    def create(
        self, account: str, name: str, platform: str, provider: str = "", entered: str = ""
    ) -> tuple[Connection, str]:
        """Creates a connection with values that `contract.management.new_connection` checked.

        Returns the connection and its secret: `entered`, or a derived one if we may choose the secret. Raises Conflict
        if the connection exists, or if the account has too many connections.
        """
        known, exists = self.of(account), Conflict(f"Account {account} already has a connection {name}.")
        if any(one.name == name for one in known):
            raise exists
        if len(known) >= MOST_CONNECTIONS:
            raise Conflict(f"The account has {MOST_CONNECTIONS} connections, which is the limit.")
        created = times.iso(times.now()[:14] + "000000")
        connection = Connection(account, name, platform, provider or platform, created, times.uuid7())
        secret = self._new_secret(connection, entered)
        self._put(connection, "attribute_not_exists(pk)", exists)
        return connection, secret

    def rotate(self, known: Connection, entered: str, overlap_hours: float) -> tuple[Connection, str]:
        """Gives a connection a new secret, which `contract.management.new_secret` checked.

        The old secret remains valid for `overlap_hours`. Raises Conflict if another request rotated the secret first.
        """
        overlap = times.shift(times.now(), hours=overlap_hours)
        connection = known._replace(secret=times.uuid7(), previous=known.secret, overlap=overlap)
        secret = self._new_secret(connection, entered)
        refusal = Conflict("Another request has just rotated the secret.")
        self._put(connection, "secret = :seen", refusal, {":seen": known.secret})
        if known.previous and not PLATFORMS[known.platform].derived:
            self.vault.delete([_place(known, known.previous)])
        return connection, secret

    def remove(self, account: str, name: str) -> Connection:
        """Removes a connection with its secrets, and returns the connection. Raises NotFound."""
        known = self.get(account, name)
        self.client.delete_item(TableName=self.table, Key=_key(account, name))
        self.last.forget(known)
        if not PLATFORMS[known.platform].derived:
            self.vault.delete([_place(known, secret) for secret in (known.secret, known.previous) if secret])
        return known

    def get(self, account: str, name: str) -> Connection:
        """Returns the connection of a name. Raises NotFound."""
        if connection := self._read(account, name):
            return connection
        raise NotFound(f"Account {account} has no connection {name}.")

    def of(self, account: str) -> list[Connection]:
        answer = self.client.query(
            TableName=self.table,
            KeyConditionExpression="pk = :pk",
            ConsistentRead=True,
            ExpressionAttributeValues={":pk": {"S": f"{account}/c"}},
        )
        return [record_of(Connection, plain_item(item)) for item in answer["Items"]]

    # ----------------------------------------------------------------- parts

    def _read(self, account: str, name: str) -> Connection | None:
        answer = self.client.get_item(TableName=self.table, Key=_key(account, name), ConsistentRead=True)
        return record_of(Connection, plain_item(answer["Item"])) if answer.get("Item") else None

    def _put(
        self, connection: Connection, condition: str, refusal: Exception, values: dict[str, str] | None = None
    ) -> None:
        item = _key(connection.account, connection.name) | raw(attributes(connection))
        options = {"ExpressionAttributeValues": raw(values)} if values else {}
        if not write_if(
            self.client.put_item, TableName=self.table, Item=item, ConditionExpression=condition, **options
        ):
            raise refusal

    def _new_secret(self, connection: Connection, entered: str) -> str:
        if PLATFORMS[connection.platform].derived:
            import secrets  # imported here, since few functions create connections

            self.vault.put(_STACK_KEY, secrets.token_urlsafe(32), overwrite=False)
            return self._secrets(connection._replace(previous=""))[0]
        self.vault.put(_place(connection, connection.secret), entered)
        return entered

    def has_secret(self, connection: Connection) -> bool:
        """Returns whether the connection's secret exists. Raises Unavailable."""
        return bool(self._secrets(connection._replace(previous="")))

    def _secrets(self, connection: Connection) -> list[str]:
        """Returns the valid secrets. Raises Unavailable."""
        try:
            if not PLATFORMS[connection.platform].derived:
                found = [self.vault.get(_place(connection, one)) for one in connection.secrets()]
                return [secret for secret in found if secret]
            key = self.vault.get(_STACK_KEY)
        except Exception as error:
            if is_transient(error):
                raise Unavailable("The connection's secret could not be read. Please try again.") from error
            raise
        return [_derived(key, connection, one) for one in connection.secrets()] if key else []


def _key(account: str, name: str) -> Any:
    return raw({"pk": f"{account}/c", "sk": name})


def _place(connection: Connection, secret: str) -> str:
    """Returns the name under which a secret is stored. `secret` is its id."""
    return f"connections/{connection.account}/{connection.name}/{secret}"


def _derived(key: str, connection: Connection, secret: str) -> str:
    """Returns the secret with the id `secret`: 43 characters that need no quoting in forms and shells."""
    about = f"webhook-1\n{connection.account}\n{connection.name}\n{secret}"
    return urlsafe_b64encode(hmac.digest(key.encode(), about.encode(), hashlib.sha256)).decode().rstrip("=")

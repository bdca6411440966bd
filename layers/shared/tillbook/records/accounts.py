"""Accounts (tenants) and their settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from tillbook.aws.items import attributes, plain_item, raw, record_of
from tillbook.aws.writes import write_if
from tillbook.rules.errors import Conflict, FieldError, Invalid, NotFound
from tillbook.rules.identity import SOURCES, Source, is_account_id
from tillbook.rules.json_text import dumps, loads

if TYPE_CHECKING:
    from tillbook.rules.segments import Segment


@dataclass(frozen=True, slots=True)
class Account:
    """An account and its settings. Changing a setting changes no stored data: settings are applied when data is read.

    Attributes:
        currency: the currency of orders without one. sources: the sources that count in lifetime value.
        time_zone: IANA name of the time zone of reports. name: name to display. segments: segments of customers.
    """

    id: str
    currency: str = "USD"
    sources: tuple[Source, ...] = SOURCES
    time_zone: str = "UTC"
    name: str = ""
    segments: tuple[Segment, ...] = ()


class AccountItem(NamedTuple):
    """The settings of an account.

    Key: `{account}/a`, `a`.

    Attributes: currency; sources, separated by spaces; time_zone; name; segments: JSON (rules.segments).
    """

    currency: str
    sources: str
    time_zone: str = "UTC"
    name: str = ""
    segments: str = ""


class AccountEntry(NamedTuple):
    """An entry in the list of accounts.

    Key: `#accounts`, `{account}`.
    """


@dataclass(frozen=True, slots=True)
class Accounts:
    client: Any
    table: str

    def get(self, account_id: str, *, consistent: bool = False) -> Account:
        """Returns an account with its settings. Raises NotFound."""
        answer = self.client.get_item(
            TableName=self.table, Key=raw({"pk": f"{account_id}/a", "sk": "a"}), ConsistentRead=consistent
        )
        if not answer.get("Item"):
            raise NotFound(f"There is no account {account_id}.")
        item = record_of(AccountItem, plain_item(answer["Item"]))
        segments: tuple[Segment, ...] = ()
        if item.segments:
            from tillbook.rules.segments import segments_of  # imported here, since most accounts have no segments

            segments = segments_of(loads(item.segments, ours=True))
        sources: Any = tuple(item.sources.split())
        return Account(account_id, item.currency, sources, item.time_zone, item.name, segments)

    def create(self, account: Account) -> Account:
        """Creates an account with settings that `contract.management.account_change` checked.

        Raises Conflict if the account exists, Invalid if the id is malformed.
        """
        if not is_account_id(account.id):
            raise Invalid([FieldError("account id", "format_error", "must be 1 to 64 of A-Z, a-z, 0-9, _ and -")])
        settings = AccountItem(
            account.currency,
            " ".join(account.sources),
            account.time_zone,
            account.name,
            _stored("segments", account.segments),
        )
        item = {"pk": f"{account.id}/a", "sk": "a"} | attributes(settings)
        # The list is written first, so that every existing account is listed. A listed account may not exist yet.
        self.client.put_item(TableName=self.table, Item=raw({"pk": "#accounts", "sk": account.id}))
        if not write_if(
            self.client.put_item, TableName=self.table, Item=raw(item), ConditionExpression="attribute_not_exists(pk)"
        ):
            raise Conflict(f"Account {account.id} exists already.")
        return account

    def change(self, account_id: str, given: Mapping[str, Any]) -> Account:
        """Changes the settings `given`, which `contract.management.account_change` checked. None restores a default.

        Other settings are not written, so concurrent changes of different settings are all kept. Raises NotFound.
        """
        account = self.get(account_id)
        if not given:
            return account
        defaults = Account(account_id)
        changed = {name: getattr(defaults, name) if value is None else value for name, value in given.items()}
        stored = {name: _stored(name, value) for name, value in changed.items()}
        exists = write_if(
            self.client.update_item,
            TableName=self.table,
            Key=raw({"pk": f"{account_id}/a", "sk": "a"}),
            UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in stored),
            ConditionExpression="attribute_exists(pk)",
            ExpressionAttributeNames={f"#{name}": name for name in stored},
            ExpressionAttributeValues=raw({f":{name}": value for name, value in stored.items()}),
        )
        if not exists:
            raise NotFound(f"There is no account {account_id}.")
        return self.get(account_id, consistent=True)

    def page(self, after: str | None, limit: int = 100) -> tuple[list[str], str | None]:
        """Returns account ids that sort after the id `after`, and the `after` of the next page (None at the end)."""
        values = {":pk": {"S": "#accounts"}, ":after": {"S": after or " "}}
        answer = self.client.query(
            TableName=self.table,
            KeyConditionExpression="pk = :pk AND sk > :after",
            ExpressionAttributeValues=values,
            Limit=limit,
        )
        ids = [item["sk"]["S"] for item in answer["Items"]]
        return ids, ids[-1] if "LastEvaluatedKey" in answer else None

    def ids(self) -> Iterator[str]:
        """Yields the ids of all listed accounts, in order. A listed account may not exist (`create`)."""
        after: str | None = None
        while True:
            ids, after = self.page(after)
            yield from ids
            if after is None:
                return

    def all(self) -> Iterator[Account]:
        """Yields all accounts, in the order of their ids."""
        for account_id in self.ids():
            try:
                yield self.get(account_id)
            except NotFound:
                continue  # its creation ended between its two writes


def shown(account: Account) -> dict[str, Any]:
    """Returns the settings as the API shows them."""
    return {
        "account_id": account.id,
        "name": account.name or None,
        "currency": account.currency,
        "sources": list(account.sources),
        "time_zone": account.time_zone,
        "segments": [segment.shown() for segment in account.segments],
    }


def _stored(name: str, value: Any) -> str:
    """Returns the value of a setting in the form in which it is stored."""
    if name == "segments":
        return dumps([segment.shown() for segment in value]) if value else ""
    return " ".join(value) if name == "sources" else str(value)

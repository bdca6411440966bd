"""Accounts (tenants) and their settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from tillbook.aws.items import attributes, plain_item, raw, record_of
from tillbook.ledger.items import SOURCES
from tillbook.rules.codes import MINOR_UNITS, WITHDRAWN_UNITS
from tillbook.rules.errors import Conflict, NotFound
from tillbook.rules.identity import Source, is_account_id


@dataclass(frozen=True, slots=True)
class Account:
    """`sources` are those whose LTV counts, `currency` that of orders which never named one. Both apply on reading."""

    id: str
    currency: str = "USD"
    sources: tuple[Source, ...] = SOURCES


class AccountItem(NamedTuple):
    """Settings of an account.

    Key: `{account}/a`, `a`.

    Attributes: currency; sources, separated by spaces.
    """

    currency: str
    sources: str


class AccountEntry(NamedTuple):
    """Lists the accounts.

    Key: `#accounts`, `{account}`.
    """


@dataclass(frozen=True, slots=True)
class Accounts:
    client: Any
    table: str

    def get(self, account_id: str) -> Account:
        """Raises NotFound."""
        answer = self.client.get_item(TableName=self.table, Key=raw({"pk": f"{account_id}/a", "sk": "a"}))
        if not answer.get("Item"):
            raise NotFound(f"There is no account {account_id}.")
        item = record_of(AccountItem, plain_item(answer["Item"]))
        return Account(account_id, item.currency, tuple(item.sources.split()))  # type: ignore[arg-type]

    def create(self, account: Account) -> Account:
        """Raises Conflict if it exists, ValueError for an impossible id, currency or source."""
        return self._put(account, "attribute_not_exists(pk)", Conflict(f"Account {account.id} exists already."))

    def set(self, account: Account) -> Account:
        """Raises NotFound if it does not exist, ValueError for an impossible currency or source."""
        return self._put(account, "attribute_exists(pk)", NotFound(f"There is no account {account.id}."))

    def page(self, after: str | None, limit: int = 100) -> tuple[list[str], str | None]:
        """Ids of accounts, and the one to go on behind."""
        values = {":pk": {"S": "#accounts"}, ":after": {"S": after or " "}}
        answer = self.client.query(
            TableName=self.table, KeyConditionExpression="pk = :pk AND sk > :after",
            ExpressionAttributeValues=values, Limit=limit,
        )  # fmt: skip
        ids = [item["sk"]["S"] for item in answer["Items"]]
        return ids, ids[-1] if "LastEvaluatedKey" in answer else None

    def _put(self, account: Account, condition: str, refusal: Exception) -> Account:
        if not is_account_id(account.id):
            raise ValueError("an account id is 1 to 64 of A-Z, a-z, 0-9, _ and -")
        if account.currency not in MINOR_UNITS and account.currency not in WITHDRAWN_UNITS:
            raise ValueError("currency must be an ISO 4217 code")
        if not account.sources or not set(account.sources) <= set(SOURCES):
            raise ValueError(f"sources must be of {', '.join(SOURCES)}")
        settings = AccountItem(account.currency, " ".join(account.sources))
        item = {"pk": f"{account.id}/a", "sk": "a"} | attributes(settings)
        # Listed first: what is listed may not exist yet, what exists is always listed.
        self.client.put_item(TableName=self.table, Item=raw({"pk": "#accounts", "sk": account.id}))
        try:
            self.client.put_item(TableName=self.table, Item=raw(item), ConditionExpression=condition)
        except self.client.exceptions.ConditionalCheckFailedException:
            raise refusal from None
        return account

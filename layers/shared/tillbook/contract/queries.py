"""The query parameters of routes, and the bodies of purges and discards."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from tillbook.contract import fields
from tillbook.contract.limits import MAX_LIMIT
from tillbook.contract.validation import Model, fault, one_fault
from tillbook.rules import times
from tillbook.rules.amounts import AmountError, parse_amount

Source = Literal["orders_api", "shopper_activity"]


def _request_id(text: str) -> str:
    if times.uuid7_age(text) is None:
        raise fault("format_error", "is not valid")
    return text


# The schemas of dates and cursors only describe them: they are parsed where they are used.
Day = Annotated[str | None, fields.schema("string", format="date")]
_CURSOR = "The next_cursor of the previous page."
Cursor = Annotated[str | None, fields.schema("string", pattern="^[0-9A-Za-z_-]{22,150}$")]
RequestCursor = Annotated[Annotated[str, AfterValidator(_request_id)] | None, fields.schema("string", format="uuid")]
Limit = Annotated[int, Field(ge=1, le=MAX_LIMIT), one_fault("format_error", f"must be a number from 1 to {MAX_LIMIT}")]


class Query(BaseModel):
    """Each field is a parameter. Other parameters are ignored: clients send their own (`page`, `per_page`)."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)


_LIMIT = "Maximum number of entries on a page."


class Page(Query):
    cursor: Cursor = Field(None, description=_CURSOR)
    limit: Limit = Field(50, description=_LIMIT)


class OrderHistory(Page):
    limit: Limit = Field(200, description=_LIMIT)


class Timeline(Page):
    effects: bool = Field(False, description="Whether to include each entry's effects on lifetime value.")


class Members(Page):
    limit: Limit = Field(100, description=_LIMIT)
    format: Literal["json", "csv"] | None = Field(None, description="csv returns a page of CSV.")


class RequestPage(Query):
    cursor: RequestCursor = Field(None, description=_CURSOR)
    limit: Limit = Field(50, description=_LIMIT)


class DeadLetters(RequestPage):
    payload: bool = Field(True, description="Whether to include the event of each dead letter.")


class Transactions(RequestPage):
    status: Literal["applied", "duplicate", "failed", "rejected"] | None = Field(
        None, description="Only requests with this status."
    )
    source: Source | None = Field(None, description="Only requests of this API.")
    request_id: str | None = Field(None, description="Only the request with this id.")
    order_id: str | None = Field(None, description="Only requests about this order.")
    provider: str | None = Field(
        None,
        description="Only requests of this provider, and those without a provider: of the Orders API, and rejections. "
        "It is ignored without order_id.",
    )
    action: str | None = Field(None, description="Only requests with this action, for example placed or submitted.")
    first: Day = Field(None, alias="from", description="The first date of receipt, in the account's time zone.")
    last: Day = Field(None, alias="to", description="The last date of receipt.")
    format: Literal["json", "csv"] | None = Field(None, description="csv returns a page of CSV.")


class Counts(Query):
    first: Day = Field(None, alias="from", description="The first date of receipt. If absent, the date of `to`.")
    last: Day = Field(
        None, alias="to", description="The last date of receipt, in the account's time zone. If absent, today."
    )
    source: Source | None = Field(None, description="Only requests of this API.")


class Replay(Query):
    cursor: RequestCursor = Field(None, description=_CURSOR)


class Summary(Query):
    first: Day = Field(
        None,
        alias="from",
        description="The first day (UTC), one of the last 31 days. If absent, the 14 days up to `to` are counted.",
    )
    last: Day = Field(None, alias="to", description="The last day (UTC). If absent, today.")


def _amount(value: object) -> object:
    """The amount in a query parameter."""
    try:
        return parse_amount(value)[0]
    except AmountError as error:
        raise fault(error.code, str(error)) from None


Words = Annotated[str | None, Field(max_length=255), fields.schema("string", maxLength=255)]
CurrencyCode = Annotated[str | None, fields.schema("string", pattern="^[A-Za-z]{3}$")]


class Sales(Query):
    first: Day = Field(
        None,
        alias="from",
        description="The first date, in the account's time zone. If absent, the 30 days up to `to` count.",
    )
    last: Day = Field(None, alias="to", description="The last date. If absent, today.")
    interval: Literal["day", "week", "month"] = Field("day", description="The period of a row. Weeks begin on Monday.")
    group_by: Literal["source", "provider", "new_buyer", "promo_code", "category", "item"] | None = Field(
        None, description="The attribute whose values get separate rows in each period."
    )
    currency: CurrencyCode = Field(None, description="Only orders in this currency.")
    compare: Literal["previous_period", "previous_year"] | None = Field(
        None,
        description="Adds an earlier period. previous_period: as many days just before, or as many months if the "
        "period is whole months. previous_year: the same dates one year earlier.",
    )
    limit: Limit = Field(
        20,
        description="In each currency, the largest groups have rows of their own, up to this number. All others share "
        "one row.",
    )
    format: Literal["json", "csv"] | None = Field(None, description="csv returns the report as CSV.")


Count = Annotated[
    int | None, Field(ge=0, le=10**9), one_fault("format_error", "must be a whole number of at least 0")
]  # fmt: skip
Amount = Annotated[
    Decimal | None, BeforeValidator(_amount), fields.schema("string", pattern=r"^-?[0-9]{1,15}(\.[0-9]{1,4})?$")
]


class PeopleList(Page):
    sort: Literal["lifetime_value", "orders", "last_order"] = Field("lifetime_value", description="The sort key.")
    direction: Literal["desc", "asc"] = Field("desc", description="desc lists the largest, or the latest, first.")
    currency: CurrencyCode = Field(None, description="Currency of the lifetime value. The account's if absent.")
    min_lifetime_value: Amount = Field(None, description="Only customers with at least this lifetime value.")
    max_lifetime_value: Amount = Field(None, description="Only customers with at most this lifetime value.")
    min_orders: Count = Field(None, description="Only customers with at least this number of orders.")
    max_orders: Count = Field(None, description="Only customers with at most this number of orders.")
    first: Day = Field(
        None, alias="last_order_from", description="Only customers whose last order is of this date or later."
    )
    last: Day = Field(
        None, alias="last_order_to", description="Only customers whose last order is of this date or earlier."
    )
    segment: str | None = Field(None, description="Only customers in this segment of the account.")
    format: Literal["json", "csv"] | None = Field(None, description="csv returns a page of CSV.")


class Orders(Page):
    cursor: Annotated[str | None, fields.schema("string", pattern="^[0-9A-Za-z_-]{58}$")] = Field(
        None, description=_CURSOR
    )
    first: Day = Field(None, alias="from", description="The first order date, in the account's time zone.")
    last: Day = Field(None, alias="to", description="The last order date.")
    source: Source | None = Field(None, description="Only orders of this API.")
    status: (
        Literal["submitted", "edited", "placed", "updated", "paid", "fulfilled", "refunded", "canceled", "voided"]
        | None
    ) = Field(None, description="Only orders with this status: the action of the latest event, or voided.")
    provider: str | None = Field(None, description="Only shopper-activity orders of this provider.")
    promo_code: str | None = Field(None, description="Only orders with this promo code; case is ignored.")
    currency: CurrencyCode = Field(None, description="Only orders in this currency.")
    min_total: Amount = Field(None, description="Only orders with at least this total.")
    max_total: Amount = Field(None, description="Only orders with at most this total.")
    text: Words = Field(
        None,
        description="Only orders with this text in an id, the promo code, or an item's identifier or category. Case is "
        "ignored.",
    )
    name: Words = Field(
        None,
        description="Only orders whose order_id or order_public_id begins with this. Case and a leading # are ignored. "
        "At most 1,000 matches are searched; exact matches are first.",
    )
    format: Literal["json", "csv", "jsonl"] | None = Field(
        None, description="csv or jsonl (JSON lines): exports with addresses, metadata and all items."
    )


class Purge(Model):
    """The scope of a purge. Unknown fields are refused, since a misspelt `source` would purge both sources."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    confirm: Annotated[Literal["purge"], one_fault("presence_error", "must be the word purge")] = Field(
        description="The word purge (or send it as the header X-Confirm)."
    )
    source: Source | None = Field(None, description="The source to purge. Both if absent.")


class Discard(Model):
    """The reason for discarding a dead letter."""

    reason: Annotated[
        str, Field(max_length=500), BeforeValidator(fields.present),
        one_fault("presence_error", "is required: the reason for discarding, in 1 to 500 characters"),
        fields.schema("string", maxLength=500, pattern=fields.NOT_BLANK),
    ] = Field(description="The reason, which is kept with the request.")  # fmt: skip

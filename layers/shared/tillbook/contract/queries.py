"""The query parameters of a route, and the bodies of what an admin starts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from tillbook.contract import fields
from tillbook.contract.limits import MAX_LIMIT
from tillbook.contract.validation import Model, fault, one_fault
from tillbook.rules import times

Source = Literal["orders_api", "shopper_activity"]


def _request_id(text: str) -> str:
    if times.uuid7_age(text) is None:
        raise fault("format_error", "is not one of ours")
    return text


Day = Annotated[str | None, fields.says("string", format="date")]
_CURSOR = "Where to go on: the next_cursor of the page before."
Cursor = Annotated[str | None, fields.says("string", pattern="^[0-9A-Za-z_-]{22,150}$")]
RequestCursor = Annotated[Annotated[str, AfterValidator(_request_id)] | None, fields.says("string", format="uuid")]
Limit = Annotated[int, Field(ge=1, le=MAX_LIMIT), one_fault("format_error", f"must be a number from 1 to {MAX_LIMIT}")]


class Query(BaseModel):
    """Each field is a parameter. Others are ignored: clients add their own (`page`, `per_page`)."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)


class Page(Query):
    cursor: Cursor = Field(None, description=_CURSOR)
    limit: Limit = Field(50, description="How many, at most.")


class Timeline(Page):
    effects: bool = Field(False, description="With what each entry did to lifetime value.")


class Members(Page):
    limit: Limit = Field(100, description="How many, at most.")
    format: Literal["json", "csv"] | None = Field(None, description="csv for a page of CSV.")


class Requests(Query):
    cursor: RequestCursor = Field(None, description=_CURSOR)
    limit: Limit = Field(50, description="How many, at most.")


class Transactions(Requests):
    status: Literal["applied", "duplicate", "failed", "rejected"] | None = Field(None, description="Only these.")
    source: Source | None = Field(None, description="Only of this API.")
    request_id: str | None = Field(None, description="The one request.")
    order_id: str | None = Field(None, description="Requests about this order.")
    provider: str | None = Field(None, description="With order_id: shopper-activity orders of this provider only.")


class Replay(Query):
    cursor: RequestCursor = Field(None, description=_CURSOR)


class Summary(Query):
    first: Day = Field(None, alias="from", description="The first day, UTC; among the last 31 days.")
    last: Day = Field(None, alias="to", description="The last day, UTC; at most 31 days after the first.")


class Purge(Model):
    """What to purge. Unknown fields are refused: a purge that was to be narrower must not take everything."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    confirm: Annotated[Literal["purge"], one_fault("presence_error", "must be the word purge")] = Field(
        description="The word purge (or send it as the header X-Confirm)."
    )
    source: Source | None = Field(None, description="Both if absent.")


class Discard(Model):
    """Why it is discarded."""

    reason: Annotated[
        str, Field(max_length=500), BeforeValidator(fields.present),
        one_fault("presence_error", "is required: why it is discarded, in 1 to 500 characters"),
        fields.says("string", maxLength=500, pattern=fields.SOLID),
    ] = Field(description="Kept with what became of the request.")  # fmt: skip

"""The body of a match: a list of people. The answer says whether each of them is a customer."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, StrictBool, StrictInt, model_validator

from tillbook.contract import fields
from tillbook.contract.limits import MAX_MATCH, MAX_MATCH_ORDERS
from tillbook.contract.validation import Model, fault, one_fault


def _day(value: Any) -> Any:
    if value is None or value == "":
        return None
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise fault("format_error", "must be a date, as 2026-11-29") from None


def _whole(value: Any) -> Any:
    """The value as an int if it is a whole number; as in JSON Schema, 5.0 is one."""
    is_whole = isinstance(value, Decimal) and value.adjusted() < 9 and value == value.to_integral_value()
    return int(value) if is_whole else value


Day = Annotated[date | None, BeforeValidator(_day), fields.schema("string", "null", format="date")]


class MatchAddress(Model):
    address_1: fields.Line = Field(None, description="Number and street.")
    address_2: fields.Line = Field(None, description="Apartment, suite, unit.")
    city: fields.Line = Field(None, description="City.")
    state: fields.Line = Field(None, description="State.")
    postal_code: fields.Line = Field(None, description="ZIP or postal code.")
    country: fields.Line = Field(None, description="Country, as its code or English name.")


class MatchPerson(Model):
    """Somebody who may be a customer. If there are several identifiers, one match is enough."""

    address: fields.Address[MatchAddress] = Field(None, description="An address. It is compared after normalisation.")
    email: fields.Email = Field(None, description="An e-mail address.")
    email_sha256: fields.Sha256 = Field(None, description="SHA-256 of the trimmed, lower-cased e-mail address.")
    customer_id: fields.PersonId = Field(None, description="The customer_id of the Orders API.")

    @model_validator(mode="after")
    def _names_somebody(self) -> Self:
        address = self.address and self.address.kept()
        if not (address or self.email or self.email_sha256 or self.customer_id):
            raise fault("presence_error", "must have an address, email, email_sha256 or customer_id")
        return self


class MatchQuery(Model):
    people: Annotated[list[MatchPerson], Field(min_length=1, max_length=MAX_MATCH)] = Field(
        description="Up to 1,000 people. The results have the same order."
    )
    orders: Annotated[StrictBool, one_fault("format_error", "must be true or false")] = Field(
        False, description="Whether each result lists its orders."
    )
    first: Day = Field(None, alias="from", description="Only orders from this date on, in the account's time zone.")
    last: Day = Field(None, alias="to", description="Only orders up to this date.")
    limit: Annotated[
        StrictInt, Field(ge=1, le=MAX_MATCH_ORDERS), BeforeValidator(_whole),
        one_fault("format_error", f"must be a number from 1 to {MAX_MATCH_ORDERS}"),
    ] = Field(20, description="Maximum number of orders for each person; the newest are listed.")  # fmt: skip

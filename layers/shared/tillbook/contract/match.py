"""A question to an audience: who of these people is a customer."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from tillbook.contract import fields
from tillbook.contract.limits import MAX_MATCH
from tillbook.contract.validation import Model, fault


class MatchAddress(Model):
    address_1: fields.Line = Field(None, description="Number and street.")
    address_2: fields.Line = Field(None, description="Apartment, suite, unit.")
    city: fields.Line = Field(None, description="City.")
    state: fields.Line = Field(None, description="State.")
    postal_code: fields.Line = Field(None, description="ZIP or postal code.")
    country: fields.Line = Field(None, description="Country, as its code or English name.")


class MatchPerson(Model):
    """Somebody who may be a customer. Who is named in several ways is a customer if any of them matches."""

    address: fields.Address[MatchAddress] = Field(None, description="An address; it is compared after normalisation.")
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
        description="Up to 1,000 people; the results come in the same order."
    )

"""Bodies of requests that manage an account: settings, API keys, connections. The command line uses the same models.

Unknown fields are refused, so that a misspelt setting is not answered with success.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, PlainValidator

from tillbook.contract import fields
from tillbook.contract.platforms.signatures import PLATFORMS
from tillbook.contract.validation import Context, Model, fault, one_fault, validated
from tillbook.rules.dates import zone_of
from tillbook.rules.errors import FieldError, Invalid
from tillbook.rules.identity import SOURCES, Source, is_email
from tillbook.rules.json_text import Json
from tillbook.rules.segments import MOST_SEGMENTS, Segment, segments_of

MAX_LABEL = 100
MAX_SECRET = 1000
OVERLAP_HOURS, MAX_OVERLAP_HOURS = 24, 24 * 365


class Settings(Model):
    """The base of all bodies in this module. It refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


# --------------------------------------------------------------- fields


def _no_email(value: str) -> str:
    if is_email(value):
        raise fault("format_error", "must not be an e-mail address, since none is ever stored")
    return value


def _zone(value: Any) -> str | None:
    if value is None or value == "":
        return None
    try:
        zone_of(value if isinstance(value, str) else "")
    except ValueError:
        raise fault("format_error", "must be an IANA name, as America/New_York") from None
    return str(value)


def _segments(value: Any) -> tuple[Segment, ...]:
    try:
        return segments_of(value or [])
    except ValueError as error:
        raise fault("format_error", str(error)) from None


def _in_order(value: list[Source]) -> list[Source]:
    """The sources in the order of SOURCES, each once."""
    return [source for source in SOURCES if source in value]


def _known_platform(value: str) -> str:
    if value not in PLATFORMS:
        raise fault("format_error", f"must be one of {', '.join(PLATFORMS)}")
    return value


# A name for people to read. Surrounding white space is removed.
Label = Annotated[
    Annotated[str, Field(max_length=MAX_LABEL), AfterValidator(_no_email), BeforeValidator(fields.trimmed)] | None,
    fields.schema("string", "null", maxLength=MAX_LABEL),
]  # fmt: skip
Zone = Annotated[str | None, PlainValidator(_zone), fields.schema("string", "null", examples=["America/New_York"])]
Sources = Annotated[
    Annotated[
        list[Source], Field(min_length=1), AfterValidator(_in_order),
        one_fault("format_error", f"must be at least one of {', '.join(SOURCES)}"),
    ] | None,
    fields.schema("array", "null", items={"enum": list(SOURCES)}, minItems=1),
]  # fmt: skip
Segments = Annotated[
    Any, PlainValidator(_segments),
    fields.schema("array", "null", items={"type": "object"}, maxItems=MOST_SEGMENTS),
]  # fmt: skip
Role = Annotated[Literal["ingest", "admin"], one_fault("format_error", "must be one of ingest, admin")]
PlatformName = Annotated[str, AfterValidator(_known_platform), fields.schema("string", enum=list(PLATFORMS))]
_NAME, _PROVIDER = "^[a-z0-9][a-z0-9_-]{0,63}$", "^[a-z0-9][a-z0-9_]{0,254}$"
ConnectionName = Annotated[
    Annotated[
        str, Field(pattern=_NAME),
        one_fault("format_error", "must be 1 to 64 of a-z, 0-9, _ and -, and begin with a letter or digit"),
    ] | None,
    fields.schema("string", "null", pattern=_NAME),
]  # fmt: skip
ProviderName = Annotated[
    Annotated[
        str, Field(pattern=_PROVIDER), one_fault("format_error", "must be in lower snake case, as my_second_shop")
    ] | None,
    fields.schema("string", "null", pattern=_PROVIDER),
]  # fmt: skip
# Braces are refused: Systems Manager reads {{…}} in a value as a reference to another parameter.
_SECRET = f"^[!-z|~]{{1,{MAX_SECRET}}}$"
Secret = Annotated[
    Annotated[
        str, Field(pattern=_SECRET), BeforeValidator(fields.trimmed),
        one_fault("format_error", f"must be 1 to {MAX_SECRET} characters of ASCII, without spaces and braces"),
    ] | None,
    BeforeValidator(lambda value: value or None),
    fields.schema("string", "null", pattern=_SECRET),
]  # fmt: skip
Overlap = Annotated[
    float, Field(ge=0, le=MAX_OVERLAP_HOURS),
    one_fault("range_error", f"must be a number from 0 to {MAX_OVERLAP_HOURS}"),
    fields.schema("number", minimum=0, maximum=MAX_OVERLAP_HOURS),
]  # fmt: skip
_OF_THE_PLATFORM = "The secret that the platform shows, for platforms that generate it (Shopify)."


# --------------------------------------------------------------- bodies


class AccountChange(Settings):
    """Settings to change. Absent settings are unchanged; null restores the default."""

    name: Label = Field(None, description="Display name of the account.")
    currency: fields.Currency = Field(None, description="Currency of orders that have none. USD by default.")
    time_zone: Zone = Field(None, description="Time zone of the days in reports, as an IANA name. UTC by default.")
    sources: Sources = Field(None, description="Sources whose orders count in lifetime value. Both by default.")
    segments: Segments = Field(None, description="Segments of customers; each has a name and bounds. None by default.")

    def given(self) -> dict[str, Any]:
        """The settings that were sent; None restores a default."""
        return {name: getattr(self, name) or None for name in sorted(self.model_fields_set)}


class NewKey(Settings):
    """A key to create."""

    role: Role = Field(description="ingest may use the order routes only; admin may use all routes.")
    label: Label = Field(None, description="The purpose of the key.")


class KeyConfirmation(Settings):
    """Confirms that a request revokes its own key."""

    confirm: str | None = Field(
        None, description="The id of the key. Required if the request uses the key that it revokes."
    )


class NewConnection(Settings):
    """A shop's platform to connect."""

    platform: PlatformName = Field(description="The platform that sends the webhooks.")
    name: ConnectionName = Field(None, description="The name in the connection's URL. The platform's name by default.")
    provider: ProviderName = Field(
        None,
        description="The provider of the shop's orders. The platform's name by default; a second shop on the same "
        "platform needs a provider of its own.",
    )
    secret: Secret = Field(None, description=_OF_THE_PLATFORM)


class NewSecret(Settings):
    """A new secret for a connection."""

    secret: Secret = Field(None, description=_OF_THE_PLATFORM)
    overlap_hours: Overlap = Field(OVERLAP_HOURS, description="How long the old secret remains valid, in hours.")


def account_change(given: Json) -> dict[str, Any]:
    """The checked settings of a body. Raises Invalid."""
    return validated(AccountChange, given, Context([])).given()


def new_key(given: Json) -> NewKey:
    """The checked body of a request for a key. Raises Invalid."""
    return validated(NewKey, given, Context([]))


def new_connection(given: Json) -> NewConnection:
    """The checked body of a request for a connection. Raises Invalid."""
    made = validated(NewConnection, given, Context([]))
    _check_secret(made.platform, made.secret)
    return made


def new_secret(platform: str, given: Json) -> NewSecret:
    """The checked body of a request for a new secret. Raises Invalid."""
    made = validated(NewSecret, given, Context([]))
    _check_secret(platform, made.secret)
    return made


def _check_secret(platform: str, secret: str | None) -> None:
    if PLATFORMS[platform].derived and secret:
        raise Invalid([FieldError("secret", "format_error", f"must not be sent: it is generated for {platform}")])
    if not PLATFORMS[platform].derived and not secret:
        raise Invalid([FieldError("secret", "presence_error", f"is required: the secret that {platform} shows")])

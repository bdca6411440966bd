"""API keys: their form in an Authorization header, and their roles (docs/design/requests.md)."""

from __future__ import annotations

from base64 import b64encode, encodebytes

import pytest

from tillbook.records.keys import ApiKey, secret_of
from tillbook.rules.errors import Unauthenticated


def encoded(text: str) -> str:
    return b64encode(text.encode()).decode()


LONG = "k" * 70  # long enough that MIME base64 breaks the line


@pytest.mark.parametrize(
    "header",
    [
        f"Basic {encoded('key:')}",
        f"Basic {encoded('key')}",
        f"basic {encoded('key:')}",
        f"BASIC   {encoded('key:ignored password')}",
        f"Basic {encoded('key:')}\n",
        f"Basic {encoded('key:')[:3]}\n{encoded('key:')[3:]}",
        f"Basic {encoded('key:')[:3]} {encoded('key:')[3:]}",
        f"Basic {encoded('key')}\r\n",
        f"Basic {encoded('key:').rstrip('=')}",
        f"Basic {encoded('key:' + chr(10))}",
        f"Basic {encoded('key' + chr(10))}",
        f"Basic {encoded('key' + chr(10) + ':')}",
        "Bearer key",
        "bearer key",
        "Bearer  key ",
    ],
)
def test_accepted_forms_of_the_header(header: str) -> None:
    assert secret_of(header, basic=True) == "key"


def test_base64_broken_into_lines_is_accepted() -> None:
    broken = encodebytes(f"{LONG}:".encode()).decode()
    assert broken.count("\n") > 1
    assert secret_of(f"Basic {broken}", basic=True) == LONG


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        " ",
        "Basic",
        "Basic ",
        "Bearer",
        "Bearer ",
        "key",
        "Basic ???",
        "Basic a",
        "Basic /w==",  # not UTF-8
        f"Basic {encoded(':')}",
        f"Basic {encoded(':key')}",
        f"Basic {encoded(' ')}",
        "Token key",
        "Digest key",
        f"Bearer {'k' * 10_000}",  # longer than 512 characters
        "Basic ä",
        "Bearer\tkey",
    ],
)
def test_other_forms_of_the_header_are_refused(header: str | None) -> None:
    with pytest.raises(Unauthenticated):
        secret_of(header, basic=True)


def test_v1_accepts_bearer_only() -> None:
    assert secret_of("Bearer key", basic=False) == "key"
    with pytest.raises(Unauthenticated):
        secret_of(f"Basic {encoded('key:')}", basic=False)


def test_an_admin_key_may_do_what_an_ingest_key_may() -> None:
    ingest, admin = (ApiKey("id", "account", role, "", "") for role in ("ingest", "admin"))
    assert ingest.may("ingest")
    assert not ingest.may("admin")
    assert admin.may("ingest")
    assert admin.may("admin")

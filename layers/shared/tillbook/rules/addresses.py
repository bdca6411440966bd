"""Match keys of addresses: two addresses are the same if their keys are equal.

A missed match is better than a false one, so different apartments never share a key. Addresses are compared as words.
In the US and other countries whose streets have English names, street_words.py normalises the words: Street and St are
equal, and so are North Main and N Main, or Apt 4 and #4. Each key contains a version tag of the rules: a change of the
rules needs a new tag and a rebuild of every audience.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from tillbook.rules.codes import ALPHA2_TO_ALPHA3, ALPHA3, COMMON_COUNTRY_NAMES, COUNTRY_NAMES
from tillbook.rules.identity import short_hash, without_invisible

# Countries whose streets have English names.
_ENGLISH = frozenset({"USA", "CAN", "GBR", "IRL", "AUS", "NZL"})
# Countries to which the USPS delivers under US ZIP codes. Each is treated as a state of the US.
_USPS_COUNTRIES = frozenset({"PRI", "VIR", "GUM", "ASM", "MNP", "FSM", "MHL", "PLW"})
_ASCII_SIGN = re.compile(r"(?<=[0-9])([-/.])(?=[0-9])|[^a-z0-9]")
# Spreadsheets damage ZIP codes: they drop leading zeros, write formulas or decimals, or separate the thousands.
_ZIP_SIGNS = re.compile(r"[\s'’\"=,]+|\.0+$")
# A code of three digits, such as 501, lacks two zeros (00501).
_ZIP = re.compile(r"(?:[A-Z]{2}-?(?=\d{5}))?([5-9]\d\d|\d{4,5})(-?\d{4})?-?", re.ASCII | re.IGNORECASE)
_SEPARATORS = re.compile(r"[,;\r\n]+")
_BOXES = frozenset({"po", "rr", "hc", "psc", "cmr", "apt"})  # first words of US addresses without a house number


def says_something(address: Any) -> bool:
    """Returns whether the value holds an address: clients send `{}`, `[]`, `""` or blank fields for a missing one."""
    return not all(map(_is_blank, address.values())) if isinstance(address, dict) else not _is_blank(address)


def _is_blank(value: Any) -> bool:
    if isinstance(value, str):
        return not without_invisible(value).strip()
    return value is None or value is False or value in ({}, [])


def match_key(address: dict[str, Any] | None) -> str | None:
    """Returns the match key (22 characters); empty if the address is too vague; None if there is no address.

    Reads the fields `address_1`, `address_2`, `city`, `state`, `postal_code` and `country`, as both APIs name them.
    """
    if address is None or not says_something(address):
        return None
    lines = [_text(address.get(name)) for name in ("address_1", "address_2")]
    city, state, postal_code = (_text(address.get(name)) for name in ("city", "state", "postal_code"))
    country = _country(address.get("country"))
    if country in _USPS_COUNTRIES:
        state, country = country, "USA"
    elif country == "USA" and (region := _country(state)) in _USPS_COUNTRIES:
        state = region
    zip5 = _zip5(postal_code) if country == "USA" else ""
    if country in _ENGLISH:
        from tillbook.rules.street_words import street_words  # imported here, since few routes compare addresses

        street, units = street_words(_parts(lines, [city, state, zip5]))
        is_specific = _is_specific(street) if country == "USA" else _is_specific_abroad(" ".join(street))
    else:
        street, units = _words(" ".join(lines)).split(), []
        is_specific = _is_specific_abroad(" ".join(street))
    # With a ZIP code, and a house number or a box at the beginning, city and state are not compared.
    if zip5 and (street[:1] and (street[0] in _BOXES or any(map(str.isdigit, street[0])))):
        where = zip5
    else:
        where = _where(zip5 or postal_code, city, state, country)
    if not where or not is_specific:
        return ""
    return short_hash(f"address-2\n{' '.join(street)}|{'|'.join(units)}|{where}|{country}")


def match_keys(shipping: dict[str, Any] | None, billing: dict[str, Any] | None) -> tuple[str | None, str | None]:
    """Returns the match keys of an order's two addresses, which are often the same address."""
    key = match_key(shipping)
    return key, key if billing == shipping else match_key(billing)


def _zip5(postal_code: str) -> str:
    """Returns the first five digits of a ZIP or ZIP+4 code; empty if the text is not a ZIP code."""
    code = _ZIP_SIGNS.sub("", unicodedata.normalize("NFKC", without_invisible(postal_code)))
    found = _ZIP.fullmatch(code.replace("\u2013", "-").replace("\u2010", "-"))
    return found[1].zfill(5) if found else ""


def _parts(lines: list[str], place: list[str]) -> list[str]:
    """Returns the lines, split at commas, as words, without parts that repeat the city, the state or the ZIP code."""
    city, state, zip5 = map(_words, place)
    repeats = {city, state, zip5, f"{city} {state}", f"{state} {zip5}", f"{city} {zip5}", f"{city} {state} {zip5}"}
    repeats.discard("ne")  # NE is not only Nebraska, but also a direction (northeast)
    parts: list[str] = []
    for text in _SEPARATORS.split("\n".join(lines).replace("'", "").replace("’", "")):
        words = _words(text.replace("#", " numbersign ")).replace("numbersign", "#")  # _words would remove a #
        if words and not (parts and words in repeats):
            parts.append(words)
    return parts


# A placeholder, or an apartment without a street, is not specific: unrelated people would share its key.


def _is_specific(street: list[str]) -> bool:
    has_name = len(street) >= 3 or any(len(word) > 1 and word.isalpha() for word in street)
    return has_name and any(map(str.isdigit, "".join(street)))


def _is_specific_abroad(words: str) -> bool:
    return len(words.split()) >= 2 or (len(words) >= 6 and any(c.isdigit() for c in words))


def _where(postal_code: str, city: str, state: str, country: str) -> str:
    """Returns the place as part of a key: postal code and city, or city and state; empty if it is too vague.

    One postal code may cover several villages that have streets of the same name, so the city is included, too.
    """
    code, town = "".join(c for c in _words(postal_code) if c.isalnum()), _words(city)
    if code:
        return f"{code}|{town}"
    region = _words(state)
    return "" if not town or (country == "USA" and not region) else f"{town}|{region}"


def _text(value: Any) -> str:
    return str(value).strip() if value is not None else ""


def _words(text: str) -> str:
    """Returns the text in lower case, as words of letters, digits and combining marks.

    `-`, `/` and `.` are kept between digits only, where they separate two numbers.
    """
    if text.isascii():  # a faster computation of the same result
        return " ".join(_ASCII_SIGN.sub(lambda sign: f" {sign[1] or ''} ", text.lower()).split())
    # A fraction becomes a separate word; otherwise 12½ would become 121/2.
    spaced = "".join(f" {c} " if unicodedata.category(c) == "No" else c for c in text)
    folded = unicodedata.normalize("NFKD", spaced).casefold().replace("\u2044", "/")
    # Accents of Latin, Greek and Cyrillic are removed; marks that change the syllable in other scripts are kept.
    plain = unicodedata.normalize("NFC", "".join(c for c in folded if not "\u0300" <= c <= "\u036f"))
    out: list[str] = []
    for before, c, after in zip(f" {plain}", plain, f"{plain[1:]} ", strict=False):
        if c.isalnum() or unicodedata.category(c)[0] == "M":
            out.append(c)
        else:
            out.append(f" {c} " if c in "-/." and before.isdigit() and after.isdigit() else " ")
    return " ".join("".join(out).split())


def _country(value: Any) -> str:
    """Returns the alpha-3 code of a country's code or English name, or its words if unknown; `USA` if there is none."""
    text = _text(value)
    code = ALPHA2_TO_ALPHA3.get(text.upper(), text.upper())
    if code in ALPHA3:
        return code
    words = _words(text)
    if not words:
        return "USA"
    name = "".join(word for word in words.split() if word not in ("the", "and"))
    return COUNTRY_NAMES.get(name) or COMMON_COUNTRY_NAMES.get(name) or words

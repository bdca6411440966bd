"""Whether two addresses are the same one: each becomes a match key, and keys are compared.

Rather a miss than a false match: different apartments never share a key. Addresses in the US are parsed into their
components (doorplate: case, punctuation, USPS abbreviations, directions, PO boxes); what is not understood whole, and
all other countries, are compared as words. Frozen under a tag: another rule needs another tag and a rebuild.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from tillbook.rules.codes import ALPHA2_TO_ALPHA3, ALPHA3, COMMON_COUNTRY_NAMES, COUNTRY_NAMES
from tillbook.rules.identity import short_hash

# Written in turn for the same door: Apt 4, Unit 4, # 4. A suite or a floor of that number is another place.
_SAME_DOOR = frozenset({"APT", "UNIT", "#", None})
# Said of what was not given to the parser, or of what does not matter to a match.
_HARMLESS = frozenset({"missing_city", "missing_state", "city_is_county"})
_ASCII_SIGN = re.compile(r"(?<=[0-9])([-/.])(?=[0-9])|[^a-z0-9]")
_ZIP = re.compile(r"(\d{5})(-?\d{4})?", re.ASCII)


def says_something(address: Any) -> bool:
    """Whether it counts as an address at all. Clients send `{}`, `[]`, `""` or one of blank fields for none."""
    return not all(map(_is_blank, address.values())) if isinstance(address, dict) else not _is_blank(address)


def _is_blank(value: Any) -> bool:
    return value is None or value in ({}, []) or (isinstance(value, str) and not value.strip())


def match_key(address: dict[str, Any] | None) -> str | None:
    """22 characters; empty if the address says too little to be matched; None if there is no address.

    Takes `address_1`, `address_2`, `city`, `state`, `postal_code` and `country` of either API.
    """
    if address is None or not says_something(address):
        return None
    lines = [_text(address.get(name)) for name in ("address_1", "address_2")]
    city, state, postal_code = (_text(address.get(name)) for name in ("city", "state", "postal_code"))
    country = _country(address)
    zip_code = _ZIP.fullmatch(postal_code) if country == "USA" else None
    key = _us_key(lines, zip_code[1]) if zip_code else None
    if key is None:
        words, where = (
            _words(" ".join(lines)),
            _where(zip_code[1] if zip_code else "", postal_code, city, state, country),
        )
        if not where or not _says_enough(words, country):
            return ""
        key = f"words|{words}|{where}|{country}"
    return short_hash(f"address-1\n{key}")


def match_keys(shipping: dict[str, Any] | None, billing: dict[str, Any] | None) -> tuple[str | None, str | None]:
    """Of an order's two addresses, which often are the same."""
    key = match_key(shipping)
    return key, key if billing == shipping else match_key(billing)


def _says_enough(words: str, country: str) -> bool:
    """Not so a placeholder, or an apartment without a street: people who have nothing in common would share it."""
    if country == "USA":
        return len(words.split()) >= 3 and any(c.isdigit() for c in words)
    return len(words.split()) >= 2 or (len(words) >= 6 and any(c.isdigit() for c in words))


def _where(zip5: str, postal_code: str, city: str, state: str, country: str) -> str:
    """A ZIP code says it all; abroad one code covers villages that have the same streets, so the city goes with it."""
    if zip5:
        return zip5
    code, town = "".join(c for c in _words(postal_code) if c.isalnum()), _words(city)
    if code:
        return f"{code}|{town}"
    region = _words(state)
    return "" if not town or (country == "USA" and not region) else f"{town}|{region}"


def _us_key(lines: list[str], zip5: str) -> str | None:
    """None where the parser did not account for every word."""
    import doorplate

    try:
        # City and state follow from the ZIP code; with them a differently spelled city would be a miss.
        parsed = doorplate.parse_fields(line1=lines[0], line2=lines[1] or None, zip=zip5)
    except ValueError:
        return None
    if parsed.unparsed or parsed.attention or parsed.building or set(parsed.warnings) - _HARMLESS:
        return None
    box = "box" in _words(" ".join(lines)).split()
    if box != bool(parsed.po_box) or not (parsed.po_box or (parsed.street_number and parsed.street_name)):
        return None
    units = [(parsed.unit_type, parsed.unit_number), (parsed.second_unit_type, parsed.second_unit_number)]
    doors = [_door(kind, number) for kind, number in units if kind or number]
    return f"us|{parsed.key()}|{'|'.join(doors)}"


def _door(kind: str | None, number: str | None) -> str:
    return number if kind in _SAME_DOOR and number else f"{kind} {number or ''}"


def _text(value: Any) -> str:
    return str(value).strip() if value is not None else ""


def _words(text: str) -> str:
    """Letters, digits and what makes them other letters; `-`, `/` and `.` only between digits, where they tell."""
    if text.isascii():  # the same in one go
        return " ".join(_ASCII_SIGN.sub(lambda sign: f" {sign[1] or ''} ", text.lower()).split())
    # A fraction is a word of its own, else 12½ would become 121/2.
    spaced = "".join(f" {c} " if unicodedata.category(c) == "No" else c for c in text)
    folded = unicodedata.normalize("NFKD", spaced).casefold().replace("\u2044", "/")
    # Accents of Latin, Greek and Cyrillic go; signs that make another syllable elsewhere stay.
    plain = unicodedata.normalize("NFC", "".join(c for c in folded if not "\u0300" <= c <= "\u036f"))
    out: list[str] = []
    for before, c, after in zip(f" {plain}", plain, f"{plain[1:]} ", strict=False):
        if c.isalnum() or unicodedata.category(c)[0] == "M":
            out.append(c)
        else:
            out.append(f" {c} " if c in "-/." and before.isdigit() and after.isdigit() else " ")
    return " ".join("".join(out).split())


def _country(address: dict[str, Any]) -> str:
    """Alpha-3 where it is a code or an English name, else its words."""
    text = _text(address.get("country"))
    code = ALPHA2_TO_ALPHA3.get(text.upper(), text.upper())
    if code in ALPHA3:
        return code
    words = _words(text)
    if not words:
        return "USA"
    name = "".join(word for word in words.split() if word not in ("the", "and"))
    return COUNTRY_NAMES.get(name) or COMMON_COUNTRY_NAMES.get(name) or words

"""Whether two addresses are the same one: each becomes a match key, and keys are compared.

Rather a miss than a false match: different apartments never share a key. Addresses in the US are parsed into their
components (doorplate: case, punctuation, USPS abbreviations, directions, PO boxes); what is not understood whole, and
all other countries, are compared as words. Frozen under a tag: another rule needs another tag and a rebuild.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from tillbook.codes import ALPHA2_TO_ALPHA3, ALPHA3
from tillbook.identity import short_hash

# Written in turn for the same door: Apt 4, Unit 4, # 4. A suite or a floor of that number is another place.
_SAME_DOOR = frozenset({"APT", "UNIT", "#", None})
# Said of what was not given to the parser, or of what does not matter to a match.
_HARMLESS = frozenset({"missing_city", "missing_state", "city_is_county"})
_US_NAMES = frozenset({"", "us", "usa", "unitedstates", "unitedstatesofamerica", "america"})
_NOT_WORD = re.compile(r"[^\w]+")
_ZIP = re.compile(r"(\d{5})(-?\d{4})?", re.ASCII)


def match_key(address: dict[str, Any] | None) -> str | None:
    """22 characters; empty if the address says too little to be matched; None if there is no address.

    Takes `address_1`, `address_2`, `city`, `state`, `postal_code` and `country` of either API.
    """
    if not address or not any(address.values()):
        return None
    lines = [_text(address.get(name)) for name in ("address_1", "address_2")]
    city, postal_code, country = _text(address.get("city")), _text(address.get("postal_code")), _country(address)
    if not lines[0] or not (postal_code or city):
        return ""
    zip_code = _ZIP.fullmatch(postal_code) if country == "USA" else None
    key = _us_key(lines, zip_code[1]) if zip_code else None
    if key is None:
        where = zip_code[1] if zip_code else _words(postal_code).replace(" ", "") or _words(city)
        key = f"words|{_words(' '.join(lines))}|{where}|{country}"
    return short_hash(f"address-1\n{key}")


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
    units = [(parsed.unit_type, parsed.unit_number), (parsed.second_unit_type, parsed.second_unit_number)]
    doors = [_door(kind, number) for kind, number in units if kind or number]
    return f"us|{parsed.key()}|{'|'.join(doors)}"


def _door(kind: str | None, number: str | None) -> str:
    return number if kind in _SAME_DOOR and number else f"{kind} {number or ''}"


def _text(value: Any) -> str:
    return str(value).strip() if value is not None else ""


def _words(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).casefold()
    return " ".join(_NOT_WORD.sub(" ", "".join(c for c in plain if not unicodedata.combining(c))).split())


def _country(address: dict[str, Any]) -> str:
    text = _text(address.get("country"))
    if _words(text).replace(" ", "") in _US_NAMES:
        return "USA"
    code = ALPHA2_TO_ALPHA3.get(text.upper(), text.upper())
    return code if code in ALPHA3 else _words(text)

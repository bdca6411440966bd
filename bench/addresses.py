"""Compares rules that find equal addresses, by the pairs of tests/unit/address_pairs.txt: `python -m bench.addresses`.

Countries, ZIP codes and territories are treated by rules/addresses.py for all candidates; each makes the key of the
street lines. All but `words` treat "apartment", "unit" and "#" as equal. To compare also the candidates that are not
installed:

    python3 -m venv /tmp/addresses && /tmp/addresses/bin/pip install doorplate usaddress-scourgify rigour
    PYTHONPATH=layers/shared /tmp/addresses/bin/python -m bench.addresses

docs/design/audiences-and-matching.md gives the decision, with doorplate 0.4.0, usaddress-scourgify 0.7.1 and
rigour 2.6.1 as candidates.
"""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tillbook.rules import addresses

ROOT = Path(__file__).parents[1]
PAIRS = ROOT / "tests/unit/address_pairs.txt"
_FIELDS = ("address_1", "address_2", "city", "state", "postal_code", "country")
_DEFAULTS = ("", "", "Springfield", "IL", "62704", "US")
_CITY = {"city": "Springfield", "state": "IL"}  # without them scourgify refuses all addresses
Address = dict[str, Any]
Key = Callable[[Address], "str | None"]


class Pair(NamedTuple):
    """Two addresses. `same`: whether they are labelled as equal. `kind`: the heading in the file."""

    kind: str
    same: bool
    one: Address
    other: Address


def pairs(path: Path = PAIRS) -> Iterator[Pair]:
    kind = ""
    for line in path.read_text().splitlines():
        if line.startswith("["):
            kind = line.strip("[]")
        elif line[:2] in ("= ", "! "):
            one, _, other = line[2:].partition("||")
            yield Pair(kind, line[0] == "=", _address(one), _address(other))


def _address(text: str) -> Address:
    values = [value.strip() for value in text.split(";")]
    values += _DEFAULTS[len(values) :]
    return {name: "" if value == "-" else value for name, value in zip(_FIELDS, values, strict=True)}


# -------------------------------------------------------------- candidates


def tables(address: Address) -> str | None:
    """Tillbook's rule, with the tables of rules/street_words.py."""
    return addresses.match_key(address)


def words(address: Address) -> str | None:
    """Compares the lower-case words, without any tables."""
    return _framed(address, lambda lines, zip5: None)


def doorplate(address: Address) -> str | None:
    import doorplate as library  # type: ignore[import-not-found,unused-ignore]

    def key(lines: list[str], zip5: str) -> str | None:
        try:
            parsed = library.parse_fields(line1=lines[0], line2=lines[1] or None, zip=zip5)
        except ValueError:
            return None
        harmless = {"missing_city", "missing_state", "city_is_county"}
        if parsed.unparsed or parsed.attention or parsed.building or set(parsed.warnings) - harmless:
            return None
        box = "box" in addresses._words(" ".join(lines)).split()
        if box != bool(parsed.po_box) or not (parsed.po_box or (parsed.street_number and parsed.street_name)):
            return None
        units = [(parsed.unit_type, parsed.unit_number), (parsed.second_unit_type, parsed.second_unit_number)]
        return f"{parsed.key()}|{[_one_door(' '.join(filter(None, unit))) for unit in units]}"

    return _framed(address, key)


def scourgify(address: Address) -> str | None:
    from scourgify import normalize_address_record  # type: ignore[import-not-found,unused-ignore]
    from scourgify.exceptions import AddressNormalizationError  # type: ignore[import-not-found,unused-ignore]

    def key(lines: list[str], zip5: str) -> str | None:
        record = {"address_line_1": lines[0], "address_line_2": lines[1], "postal_code": zip5} | _CITY
        try:
            found = normalize_address_record(record)
        except AddressNormalizationError:
            return None
        return f"{found['address_line_1']}|{_one_door(found['address_line_2'] or '')}|{zip5}"

    return _framed(address, key)


def rigour(address: Address) -> str | None:
    from rigour.addresses import (  # type: ignore[import-not-found,unused-ignore]
        normalize_address,
        shorten_address_keywords,
    )

    def key(lines: list[str], zip5: str) -> str | None:
        text = normalize_address(_one_door(" ".join(lines).replace("#", " # ")), latinize=True)
        return f"{shorten_address_keywords(text, latinize=True)}|{zip5}" if text else None

    return _framed(address, key)


def _one_door(text: str) -> str:
    return re.sub(r"(?i)(\b(apartment|apt|unit)\b\.?|#)[ #]*", "apt ", text).strip()


def _framed(address: Address, key_of: Callable[[list[str], str], str | None]) -> str | None:
    """A key that `key_of` makes in the USA. Elsewhere, or if `key_of` returns None, the words of the lines are used."""
    lines = [address["address_1"], address["address_2"]]
    country, state = addresses._country(address["country"]), address["state"]
    if country in addresses._USPS_COUNTRIES:
        country, state = "USA", country
    zip5 = addresses._zip5(address["postal_code"]) if country == "USA" else ""
    key = key_of(lines, zip5) if zip5 else None
    if key is not None:
        return key
    plain = addresses._words(" ".join(lines))
    city = "" if zip5 and plain[:1].isdigit() else address["city"]
    return f"{plain}|{addresses._where(zip5 or address['postal_code'], city, state, country)}|{country}"


CANDIDATES: dict[str, tuple[Key, str, str]] = {  # function for keys, distribution, module
    "words": (words, "", "re"),
    "tables": (tables, "", "tillbook.rules.street_words"),
    "doorplate": (doorplate, "doorplate", "doorplate"),
    "scourgify": (scourgify, "usaddress-scourgify", "scourgify"),
    "rigour": (rigour, "rigour", "rigour.addresses"),
}


# ------------------------------------------------------------------ figures


def finds_equal(key: Key, pair: Pair) -> bool:
    """Whether a candidate finds that the two addresses of a pair are equal."""
    one, other = key(pair.one), key(pair.other)
    return bool(one) and one == other


def installed_bytes(distribution: str, seen: set[str]) -> int:
    """Bytes of a distribution and its requirements, without those in `seen`, to which it adds them."""
    if not distribution or distribution in seen:
        return 0
    seen.add(distribution)
    try:
        about = importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return 0  # required only on another platform or Python
    sizes = [Path(str(file.locate())).stat().st_size for file in about.files or () if file.locate().is_file()]  # type: ignore[attr-defined]
    required = [re.split(r"[^\w.-]", line)[0] for line in about.requires or () if "extra ==" not in line]
    return sum(sizes) + sum(installed_bytes(name, seen) for name in required)


def import_seconds(module: str) -> float:
    """The minimum of seven imports, each in a fresh process that already has json, re and tillbook.rules."""
    code = (
        f"import json, re, tillbook.rules; from time import perf_counter as t; s = t(); import {module}; print(t() - s)"
    )
    path = {"PYTHONPATH": str(ROOT / "layers/shared")}
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=path).stdout
            for _ in range(7)]  # fmt: skip
    return min(map(float, runs))


def main() -> None:
    labelled = list(pairs())
    same = sum(pair.same for pair in labelled)
    print(f"{len(labelled)} pairs: {same} of equal addresses, {len(labelled) - same} of different ones\n")
    print(f"{'':10} {'misses':>7} {'false':>6} {'µs/address':>11} {'import ms':>10} {'MB':>6}")
    for name, (key, distribution, module) in CANDIDATES.items():
        try:
            finds_equal(key, labelled[0])
        except ImportError:
            print(f"{name:10} is not installed")
            continue
        started = time.perf_counter()
        results = [(pair, finds_equal(key, pair)) for pair in labelled]
        micros = (time.perf_counter() - started) / len(labelled) / 2 * 1e6
        misses = [pair for pair, is_same in results if pair.same and not is_same]
        wrong = [pair for pair, is_same in results if is_same and not pair.same]
        import_ms, megabytes = import_seconds(module) * 1000, installed_bytes(distribution, set()) / 1e6
        print(f"{name:10} {len(misses):7} {len(wrong):6} {micros:11.0f} {import_ms:10.1f} {megabytes:6.1f}")
        if "-v" in sys.argv:
            for pair in wrong:
                print(f"           false: {_shown(pair)}")
            for pair in misses:
                print(f"           miss: {_shown(pair)}")


def _shown(pair: Pair) -> str:
    one, other = ("; ".join(value for value in address.values() if value) for address in (pair.one, pair.other))
    return f"[{pair.kind}] {one} || {other}"


if __name__ == "__main__":
    main()

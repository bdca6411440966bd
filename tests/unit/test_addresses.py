"""Match keys of addresses: spellings of one address share a key, and different addresses never share one.

A missed match is better than a false one.
"""

from __future__ import annotations

import random
from itertools import combinations
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import addresses as bench
from tillbook.rules.addresses import _USPS_COUNTRIES, _words, _zip5, match_key, match_keys


def us(address_1: str, address_2: str | None = None, **changes: Any) -> dict[str, Any]:
    """An address in San Francisco, with changes."""
    return {
        "address_1": address_1, "address_2": address_2, "city": "San Francisco", "state": "CA",
        "postal_code": "94107", "country": "USA",
    } | changes  # fmt: skip


def at(country: str, address_1: str, **changes: Any) -> dict[str, Any]:
    """An address in any country, with changes."""
    return {"country": country, "address_1": address_1, "postal_code": "2000", "city": "Town"} | changes


MAIN = us("123 Main St", "Apt 4")

SAME = {
    "case": (MAIN, us("123 MAIN st", "aPT 4")),
    "white space": (MAIN, us("  123   Main\tSt ", " Apt  4 ")),
    "punctuation": (MAIN, us("123 Main St.,", "Apt. 4,")),
    "street": (MAIN, us("123 Main Street", "Apt 4")),
    "apartment": (MAIN, us("123 Main St", "Apartment 4")),
    "unit": (MAIN, us("123 Main St", "Unit 4")),
    "#": (MAIN, us("123 Main St", "#4")),
    "# with a space": (MAIN, us("123 Main St", "# 4")),
    "apt #": (MAIN, us("123 Main St", "Apt #4")),
    "one line": (MAIN, us("123 Main St Apt 4")),
    "one line with a comma": (MAIN, us("123 Main St, Apt 4")),
    "one line with #": (MAIN, us("123 Main St #4")),
    "ZIP+4": (MAIN, us("123 Main St", "Apt 4", postal_code="94107-1234")),
    "ZIP+4 without a dash": (MAIN, us("123 Main St", "Apt 4", postal_code="941071234")),
    "ZIP with white space": (MAIN, us("123 Main St", "Apt 4", postal_code=" 94107 ")),
    "alpha-2": (MAIN, us("123 Main St", "Apt 4", country="us")),
    "no country": (MAIN, us("123 Main St", "Apt 4", country=None)),
    "country by name": (MAIN, us("123 Main St", "Apt 4", country="United States")),
    "country by its long name": (MAIN, us("123 Main St", "Apt 4", country="United States of America")),
    "country with dots": (MAIN, us("123 Main St", "Apt 4", country="U.S.A.")),
    "city and state spelled otherwise": (MAIN, us("123 Main St", "Apt 4", city="SF", state="California")),
    "no city": (MAIN, us("123 Main St", "Apt 4", city=None, state=None)),
    "empty second line": (us("123 Main St"), us("123 Main St", "")),
    "blank second line": (us("123 Main St"), us("123 Main St", "   ")),
    "no second line": (us("123 Main St"), {"address_1": "123 Main Street", "postal_code": "94107"}),
    "direction": (us("123 N Main St"), us("123 North Main Street")),
    "direction with a dot": (us("123 N Main St"), us("123 N. Main St.")),
    "direction after the street": (us("123 Main St SW"), us("123 Main Street Southwest")),
    "avenue": (us("9 Oak Ave"), us("9 Oak Avenue")),
    "boulevard": (us("9 Oak Blvd"), us("9 OAK BOULEVARD")),
    "suite": (us("9 Oak Ave", "Ste 200"), us("9 Oak Ave", "Suite 200")),
    "floor": (us("9 Oak Ave", "Fl 2"), us("9 Oak Ave", "Floor 2")),
    "building": (us("9 Oak Ave", "Bldg 2 Apt 3"), us("9 Oak Ave", "Building 2 Unit 3")),
    "PO box": (us("PO Box 12"), us("P.O. Box 12")),
    "post office box": (us("PO Box 12"), us("Post Office Box 12")),
    "fraction": (us("123 1/2 Main St"), us("123 1/2 main street")),
    "letter of an apartment": (us("123 Main St", "Apt B"), us("123 Main St", "apt. b")),
    "accents": (us("123 Mañana St"), us("123 Manana Street")),
    "Canada": (
        at("CA", "10 Rue Sainte-Catherine", postal_code="H2X 1K4"),
        at("CAN", "10 RUE SAINTE CATHERINE", postal_code="h2x1k4"),
    ),
    "Canada, over two lines": (
        at("CA", "10 King St W Suite 5", postal_code="M5H 1A1"),
        at("CA", "10 King St W", address_2="Suite 5", postal_code="M5H1A1"),
    ),
    "Germany": (at("DE", "Straße 5", postal_code="10115"), at("DEU", "STRASSE 5", postal_code="10115")),
    "Germany by its name": (at("DE", "Straße 5"), at("Germany", "Straße 5")),
    "Germany by its name in capitals": (at("DE", "Straße 5"), at(" GERMANY", "Straße 5")),
    "the Netherlands": (at("NL", "Dam 5"), at("The Netherlands", "Dam 5")),
    "an ampersand": (at("TTO", "Bay Rd 5"), at("Trinidad & Tobago", "Bay Rd 5")),
    "accents of a country": (at("CIV", "Rue 5"), at("Cote d’Ivoire", "Rue 5")),
    "dots in a country": (at("GB", "High St 5"), at("U.K.", "High St 5")),
    "Andorra, whose code AND is a word": (at("AD", "Carrer 5"), at("and", "Carrer 5")),
    "the United States": (MAIN, us("123 Main St", "Apt 4", country="the United States")),
    "unknown country, spelled alike": (at("Ruritania", "5 High St"), at(" RURITANIA ", "5 high st.")),
}

DIFFERENT = {
    "apartments": (MAIN, us("123 Main St", "Apt 5")),
    "longer number of an apartment": (MAIN, us("123 Main St", "Apt 44")),
    "letter after the apartment": (MAIN, us("123 Main St", "Apt 4A")),
    "letters of apartments": (us("123 Main St", "Apt A"), us("123 Main St", "Apt B")),
    "with and without an apartment": (MAIN, us("123 Main St")),
    "apartment and suite": (MAIN, us("123 Main St", "Suite 4")),
    "apartment and floor": (MAIN, us("123 Main St", "Floor 4")),
    "apartment and building": (MAIN, us("123 Main St", "Bldg 4")),
    "apartment and room": (MAIN, us("123 Main St", "Rm 4")),
    "apartment and lot": (MAIN, us("123 Main St", "Lot 4")),
    "suites": (us("9 Oak Ave", "Ste 200"), us("9 Oak Ave", "Ste 201")),
    "floors": (us("9 Oak Ave", "Fl 2"), us("9 Oak Ave", "Fl 3")),
    "buildings": (us("9 Oak Ave", "Bldg 1 Apt 3"), us("9 Oak Ave", "Bldg 2 Apt 3")),
    "apartment in a building and without": (us("9 Oak Ave", "Bldg 1 Apt 3"), us("9 Oak Ave", "Apt 3")),
    "apartment with and without a floor": (us("9 Oak Ave", "Fl 2 Apt 3"), us("9 Oak Ave", "Apt 3")),
    "front and rear": (us("9 Oak Ave", "Front"), us("9 Oak Ave", "Rear")),
    "upper and lower": (us("9 Oak Ave", "Upper"), us("9 Oak Ave", "Lower")),
    "rear of an apartment": (MAIN, us("123 Main St", "Apt 4 Rear")),
    "dash in an apartment": (us("123 Main St", "Apt 1-2"), us("123 Main St", "Apt 12")),
    "slash in an apartment": (us("123 Main St", "Apt 1/2"), us("123 Main St", "Apt 12")),
    "numbers": (us("123 Main St"), us("124 Main St")),
    "letter after the number": (us("123 Main St"), us("123A Main St")),
    "dash in a number": (us("12-34 56th St"), us("1234 56th St")),
    "number with and without a fraction": (us("123 1/2 Main St"), us("123 Main St")),
    "fraction and a spaced number": (us("123 1/2 Main St"), us("1231 2 Main St")),
    "directions": (us("123 N Main St"), us("123 S Main St")),
    "with and without a direction": (us("123 N Main St"), us("123 Main St")),
    "direction before and after": (us("123 N Main St"), us("123 Main St N")),
    "avenue and street": (us("123 Main Ave"), us("123 Main St")),
    "with and without street": (us("123 Main"), us("123 Main St")),
    "names": (us("123 Main St"), us("123 Maine St")),
    "numbered streets": (us("123 1st St"), us("123 21st St")),
    "another ZIP": (MAIN, us("123 Main St", "Apt 4", postal_code="94108")),
    "another country": (at("AU", "5 High St"), at("NZ", "5 High St")),
    "country whose name begins another's": (at("Niger", "5 High St"), at("Nigeria", "5 High St")),
    "countries with similar names": (at("Dominica", "5 High St"), at("Dominican Republic", "5 High St")),
    "north and south": (at("North Korea", "5 High St"), at("South Korea", "5 High St")),
    '"the" as the country': (us("123 Main St", country="the"), us("123 Main St", country="USA")),
    "US and elsewhere": (us("123 Main St", country="USA"), us("123 Main St", country="DEU")),
    "care of": (us("123 Main St"), us("123 Main St", "c/o Bob Miller")),
    "care of somebody else": (us("123 Main St", "c/o Bob Miller"), us("123 Main St", "c/o Ann Miller")),
    "attention": (us("123 Main St"), us("123 Main St", "Attn Receiving")),
    "trailing words": (us("123 Main St"), us("123 Main St behind the garage")),
    "trailing words on the second line": (us("123 Main St"), us("123 Main St", "Leave at the door")),
    "other trailing words": (us("123 Main St", "left house"), us("123 Main St", "right house")),
    "PO boxes": (us("PO Box 12"), us("PO Box 13")),
    "PO box and number": (us("PO Box 12"), us("12 Main St")),
    "street with and without a PO box": (us("123 Main St"), us("123 Main St", "PO Box 12")),
    "private mailbox": (us("123 Main St", "PMB 4"), us("123 Main St", "Apt 4")),
    "private mailbox written as a box": (us("123 Main St", "Box 4"), us("123 Main St", "Apt 4")),
    "rural routes": (us("RR 2 Box 12"), us("RR 3 Box 12")),
    "boxes of a rural route": (us("RR 2 Box 12"), us("RR 2 Box 13")),
    "highways": (us("100 Highway 5"), us("100 Highway 6")),
    "military units": (us("PSC 3 Box 100", postal_code="09001"), us("PSC 4 Box 100", postal_code="09001")),
    "Canadian flats": (
        at("CA", "10 King St", address_2="Suite 5", postal_code="M5H 1A1"),
        at("CA", "10 King St", address_2="Suite 6", postal_code="M5H 1A1"),
    ),
    "numbers abroad in another order": (at("DE", "Straße 5 6"), at("DE", "Straße 6 5")),
    "postal codes abroad": (at("AU", "5 High St"), at("AU", "5 High St", postal_code="2001")),
    "cities without a postal code": (
        at("IRL", "5 High St", postal_code=None, city="Cork"),
        at("IRL", "5 High St", postal_code=None, city="Galway"),
    ),
    "states without a ZIP": (
        us("1 Main St", city="Springfield", state="IL", postal_code=None),
        us("1 Main St", city="Springfield", state="MA", postal_code=None),
    ),
    "vowel signs": (at("IN", "12 की गली"), at("IN", "12 का गली")),
    "voiced kana": (at("JP", "ガーデン 3"), at("JP", "カーデン 3")),
    "fraction abroad": (at("GB", "12½ High St"), at("GB", "121/2 High St")),
    "fraction in an apartment": (us("123 Main St", "Apt 1½"), us("123 Main St", "Apt 11/2")),
    "superscripts": (at("GB", "12² High St"), at("GB", "122 High St")),
    "unit before the number, and a range": (at("AU", "1/23 High St"), at("AU", "1-23 High St")),
    "a box on the same line": (us("123 Main St Box 4"), us("123 Main St", "Apt 4")),
    "villages of one postal code": (at("DE", "Dorfstr. 1", city="Flieth"), at("DE", "Dorfstr. 1", city="Stegelitz")),
}

INCOMPLETE = {
    "a placeholder": us("-"),
    "neither city nor code": us("123 Main St", city=".", postal_code="-"),
    "no street": us("Apt 4"),
}


@pytest.mark.parametrize("case", SAME)
def test_spellings_of_one_address_share_a_key(case: str) -> None:
    one, other = SAME[case]
    assert match_key(one)
    assert match_key(one) == match_key(other)


@pytest.mark.parametrize("case", DIFFERENT)
def test_different_addresses_have_different_keys(case: str) -> None:
    one, other = DIFFERENT[case]
    assert match_key(one)
    assert match_key(other)
    assert match_key(one) != match_key(other)


def test_labelled_pairs_match_as_labelled() -> None:
    """There is no false match, and one known miss: remove it here when it is fixed. Add pairs to address_pairs.txt."""
    wrong = [pair for pair in bench.pairs() if bench.finds_equal(match_key, pair) != pair.same]
    assert {(pair.kind, pair.one["address_1"], pair.same) for pair in wrong} == {("boxes", "PO Box 12A", True)}


def test_each_topic_has_equal_and_different_pairs() -> None:
    topics: dict[str, set[bool]] = {}
    for pair in bench.pairs():
        topics.setdefault(pair.kind, set()).add(pair.same)
    assert len(topics) >= 14
    assert all(found == {True, False} for found in topics.values())
    assert len(list(bench.pairs())) >= 400


@pytest.mark.parametrize("code", ["1012 JS", "213-9", "12", "123456", "201", "12345-123456", "K1A 0B1", "x"])
def test_text_that_is_not_a_zip_code_has_no_zip5(code: str) -> None:
    assert _zip5(code) == ""


@pytest.mark.parametrize("case", INCOMPLETE)
def test_an_incomplete_address_has_an_empty_key(case: str) -> None:
    assert match_key(INCOMPLETE[case]) == ""


def test_an_absent_address_has_no_key_and_an_incomplete_one_an_empty_key() -> None:
    assert match_key(None) is None
    assert match_key({}) is None
    assert match_key({"address_1": None, "city": ""}) is None
    assert match_key({"city": "Town"}) == ""  # an address, but one that matches no other
    assert match_key({"address_1": "123 Main St"}) == ""
    assert match_key({"address_2": "Apt 4", "postal_code": "94107"}) == ""
    assert match_key({"first_name": "Ann", "country": "US"}) == ""


def test_name_and_company_are_not_part_of_the_key() -> None:
    assert match_key(MAIN | {"name": "Ann", "company": "Acme"}) == match_key(MAIN)


USUAL_NAMES = {
    "GBR": ["uk", "great britain", "england", "scotland", "wales"], "NLD": ["holland"], "KOR": ["south korea"],
    "RUS": ["russia"], "VNM": ["vietnam"], "CZE": ["czech republic"], "TUR": ["turkey"], "CIV": ["ivory coast"],
    "TWN": ["taiwan"], "IRN": ["iran"], "SYR": ["syria"], "BOL": ["bolivia"], "VEN": ["venezuela"],
    "TZA": ["tanzania"], "MDA": ["moldova"], "LAO": ["laos"], "BRN": ["brunei"], "ARE": ["uae"],
    "USA": ["america", "united states"],
}  # fmt: skip


@pytest.mark.parametrize("code", USUAL_NAMES)
def test_a_usual_name_of_a_country_gives_the_same_key_as_its_code(code: str) -> None:
    for name in USUAL_NAMES[code]:
        for spelling in (name, name.title(), name.upper()):
            assert match_key(at(spelling, "5 High St")) == match_key(at(code, "5 High St")), spelling


def test_a_country_by_its_name_is_that_country_and_no_other() -> None:
    iso3166 = pytest.importorskip("iso3166")
    # The countries in _USPS_COUNTRIES are compared as states of the US.
    countries = [country for country in iso3166.countries if country.alpha3 not in _USPS_COUNTRIES]
    by_key = {match_key(at(country.alpha3, "5 High St")): country for country in countries}
    assert len(by_key) == len(countries)
    for country in countries:
        for name in (country.name, country.apolitical_name, country.alpha2):
            assert by_key[match_key(at(name, "5 High St"))] is country


# Ledgers store these keys, so they must never change: a changed rule needs a new version tag in addresses.py, and a
# rebuild.
GOLDEN = {
    "X2g61a7dosEu_LpJMHkjOQ": us("123 Main St"),
    "qlFaYD2rggzazdN81OrFGw": MAIN,
    "-ITdm9XZeVzEKTQofEXiQQ": us("123 Main St", "Suite 4"),
    "pLxLEgj3awFjepoKy55CMA": us("123 Main St", "Floor 4"),
    "zk7w4uulzsarfSKr1NJP7A": us("123 Main St", "Bldg 2 Apt 4"),
    "ng5icV_red8MFd58uGNmZQ": us("123 1/2 Main St"),
    "2vu49CFi58LGw4D6EwxRkw": us("123 N Main St"),
    "o6T8FDCcNbP0Zq0UiYgEOw": us("PO Box 12"),
    "NUUTf88JzK39o-Q9doFPIw": us("RR 2 Box 12"),
    "sr1uCDLMTJJaClx8aABTsw": us("12-34 56th St"),
    "ZmVjNSQnPsLbiuopS03xjA": us("123 Main St", "c/o Bob"),
    "BvbBpwBcs6RHUTYy5tI-Rw": at("DE", "Hauptstr. 5"),
    "H5PbZK-UPueqPY_krz8Hsg": at("GB", "Hauptstr. 5"),
    "w6gjDIWscSRL-npbiFDxig": at("Ruritania", "Hauptstr. 5"),
    "S5E4jGGzNEzW4XHoHdv-xg": us("123 Main St", city="Springfield", state="IL", postal_code=None),
}


@pytest.mark.parametrize("key", GOLDEN)
def test_match_keys_do_not_change(key: str) -> None:
    assert match_key(GOLDEN[key]) == key


# ------------------------------------------------------------- random addresses

_DIRECTIONS = {"": [""], "N": ["N", "North", "N."], "S": ["S", "south"], "SW": ["SW", "Southwest", "S.W."]}
_NAMES = ["Main", "Oak", "Elm Tree", "21st", "1st", "Martin Luther King", "O'Hara", "La Brea", "Washington", "Lincoln"]
_SUFFIXES = {
    "St": ["St", "Street", "ST."], "Ave": ["Ave", "Avenue", "AVE."], "Rd": ["Rd", "Road"], "Ln": ["Ln", "lane"],
    "Blvd": ["Blvd", "Boulevard"], "Ct": ["Ct", "Court"], "Dr": ["Dr", "Drive"],
}  # fmt: skip
_UNITS = {
    "": [""], "apartment": ["Apt {}", "Apartment {}", "Unit {}", "#{}", "# {}", "apt. {}", "APT #{}"],
    "suite": ["Ste {}", "Suite {}", "STE. {}"], "floor": ["Fl {}", "Floor {}"], "room": ["Rm {}", "Room {}"],
    "building": ["Bldg {}", "Building {}"],
}  # fmt: skip
_NUMBERS = ["1", "12", "112", "121", "123", "123 1/2", "123A", "1231"]
_UNIT_NUMBERS = ["1", "2", "11", "12", "A", "B", "1A", "A1", "112"]
_ZIPS = ["94107", "94108", "10001"]


class Address(NamedTuple):
    number: str
    direction: str
    name: str
    suffix: str
    unit: str
    unit_number: str
    zip5: str


def random_address(rng: random.Random) -> Address:
    unit = rng.choice(list(_UNITS))
    return Address(
        rng.choice(_NUMBERS), rng.choice(list(_DIRECTIONS)), rng.choice(_NAMES), rng.choice(list(_SUFFIXES)),
        unit, rng.choice(_UNIT_NUMBERS) if unit else "", rng.choice(_ZIPS),
    )  # fmt: skip


def spelled(address: Address, rng: random.Random) -> dict[str, Any]:
    """A random spelling of the address. An empty field may be None or left out."""
    direction, suffix = rng.choice(_DIRECTIONS[address.direction]), rng.choice(_SUFFIXES[address.suffix])
    street = " ".join(part for part in (address.number, direction, address.name, suffix) if part)
    second = rng.choice(_UNITS[address.unit]).format(address.unit_number)
    if second and rng.random() < 0.4:
        street, second = f"{street}{rng.choice([' ', ', '])}{second}", ""
    zip5 = address.zip5
    fields = us(
        _varied(street, rng), _varied(second, rng) or rng.choice([None, ""]),
        postal_code=rng.choice([zip5, f"{zip5}-1234", f"{zip5}0099"]),
        country=rng.choice([None, "US", "usa", "United States"]), city=rng.choice([None, "SF", "San Francisco"]),
    )  # fmt: skip
    return {name: value for name, value in fields.items() if value is not None or rng.random() < 0.5}


def _varied(text: str, rng: random.Random) -> str:
    """The text in random case, sometimes with two spaces for each."""
    text = rng.choice([text, text.upper(), text.lower(), text.swapcase()])
    return text.replace(" ", "  ") if rng.random() < 0.2 else text


@pytest.mark.parametrize("seed", range(5))
def test_spellings_of_a_random_address_share_a_key_and_no_two_addresses_do(seed: int) -> None:
    rng = random.Random(seed)
    address_of: dict[str, Address] = {}  # by key
    for address in sorted({random_address(rng) for _ in range(200)}):
        keys = {match_key(spelled(address, rng)) for _ in range(6)}
        assert len(keys) == 1, (seed, address)
        key = keys.pop()
        assert key
        assert address_of.setdefault(key, address) == address, seed


def test_neighbours_never_share_a_key() -> None:
    """The addresses of one block, each in one spelling: any two of them differ."""
    addresses = [
        us(f"{number} {direction} Main {suffix}".replace("  ", " "), unit)
        for number in ("12", "12 1/2", "12A", "112")
        for direction in ("", "N", "S")
        for suffix in ("St", "Ave")
        for unit in (None, "Apt 1", "Apt 2", "Apt 11", "Apt 1A", "Ste 1", "Fl 1", "Bldg 1", "Bldg 1 Apt 1",
                     "Fl 1 Apt 1", "Apt 1 Rear", "c/o 1", "PMB 1", "Lot 1", "1st house")
    ]  # fmt: skip
    keys = [match_key(address) for address in addresses]
    for (one, key), (other, other_key) in combinations(zip(addresses, keys, strict=True), 2):
        assert key != other_key, (one, other)


ASCII = st.text(st.sampled_from("aB1 -/.,#%\t0") | st.characters(max_codepoint=127), max_size=20)


@given(ASCII)
def test_the_shortcut_for_ascii_gives_the_same_words(text: str) -> None:
    """ASCII text takes a faster path. An é forces the general path, which must give the same words, and `e` for it."""
    assert _words(f"{text} é") == f"{_words(text)} e".strip()


def test_match_keys_gives_the_key_of_each_address() -> None:
    other = at("FR", "12 rue de la Paix")
    for shipping in (MAIN, other, {}, None):
        for billing in (dict(MAIN), other, {}, None):
            assert match_keys(shipping, billing) == (match_key(shipping), match_key(billing))

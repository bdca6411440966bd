"""The constants of tillbook.codes equal the packages that they were made from."""

from __future__ import annotations

import pytest

from tillbook import codes
from tillbook.addresses import _words


def test_currencies_are_those_of_iso_4217() -> None:
    iso4217 = pytest.importorskip("iso4217")
    expected = {
        currency.code: currency.exponent if currency.exponent is not None else 2 for currency in iso4217.Currency
    }
    assert expected == codes.MINOR_UNITS


def test_countries_are_those_of_iso_3166() -> None:
    iso3166 = pytest.importorskip("iso3166")
    assert {country.alpha2: country.alpha3 for country in iso3166.countries} == codes.ALPHA2_TO_ALPHA3
    assert {country.alpha3 for country in iso3166.countries} == codes.ALPHA3


def test_names_of_countries_are_those_of_iso_3166() -> None:
    iso3166 = pytest.importorskip("iso3166")
    assert {
        _folded(name): country.alpha3
        for country in iso3166.countries
        for name in (country.name, country.apolitical_name)
    } == codes.COUNTRY_NAMES


def _folded(name: str) -> str:
    return "".join(word for word in _words(name).split() if word not in ("the", "and"))


def test_usual_names_of_countries_are_nobody_else_s() -> None:
    assert not codes.COMMON_COUNTRY_NAMES.keys() & codes.COUNTRY_NAMES.keys()
    assert set(codes.COMMON_COUNTRY_NAMES.values()) <= codes.ALPHA3
    for name, country in codes.COMMON_COUNTRY_NAMES.items():
        assert name == _folded(name)
        code = name.upper()
        assert codes.ALPHA2_TO_ALPHA3.get(code, code if code in codes.ALPHA3 else country) == country


def test_the_tables_without_the_packages() -> None:
    assert codes.MINOR_UNITS["USD"] == codes.MINOR_UNITS["EUR"] == 2
    assert (codes.MINOR_UNITS["JPY"], codes.MINOR_UNITS["KWD"]) == (0, 3)
    assert codes.ALPHA2_TO_ALPHA3["US"] == "USA"
    assert set(codes.ALPHA2_TO_ALPHA3.values()) == set(codes.COUNTRY_NAMES.values()) == codes.ALPHA3
    assert all(len(code) == 3 and code.isupper() for code in codes.ALPHA3 | codes.MINOR_UNITS.keys())

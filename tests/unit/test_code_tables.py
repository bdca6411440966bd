"""The tables of tillbook.rules.codes equal those of the packages iso4217 and iso3166, from which they are copied."""

from __future__ import annotations

import pytest

from tillbook.contract import fields
from tillbook.rules import codes
from tillbook.rules.addresses import _words


def test_currencies_are_those_of_iso_4217() -> None:
    iso4217 = pytest.importorskip("iso4217")
    # Gold, for example, has no minor unit; the tables then have two decimals.
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
    """The name of a country as the tables have it: its words without `the` and `and`, joined."""
    return "".join(word for word in _words(name).split() if word not in ("the", "and"))


def test_common_names_of_countries_are_unambiguous() -> None:
    assert not codes.COMMON_COUNTRY_NAMES.keys() & codes.COUNTRY_NAMES.keys()
    assert set(codes.COMMON_COUNTRY_NAMES.values()) <= codes.ALPHA3
    for name, country_code in codes.COMMON_COUNTRY_NAMES.items():
        assert name == _folded(name)
        code = name.upper()  # a name that is also a code must be of the same country
        assert codes.ALPHA2_TO_ALPHA3.get(code, code if code in codes.ALPHA3 else country_code) == country_code


def test_the_tables_are_consistent() -> None:
    assert codes.MINOR_UNITS["USD"] == codes.MINOR_UNITS["EUR"] == 2
    assert (codes.MINOR_UNITS["JPY"], codes.MINOR_UNITS["KWD"]) == (0, 3)
    assert codes.ALPHA2_TO_ALPHA3["US"] == "USA"
    assert set(codes.ALPHA2_TO_ALPHA3.values()) == set(codes.COUNTRY_NAMES.values()) == codes.ALPHA3
    assert all(len(code) == 3 and code.isupper() for code in codes.ALPHA3 | codes.MINOR_UNITS.keys())
    assert all(code.isupper() for code in codes.WITHDRAWN_COUNTRIES)


# All codes that were ever accepted. Ledgers contain orders with them, and an edit checks the whole order again.
CURRENCIES = """
    ADP AED AFA AFN ALL AMD ANG AOA ARS ATS AUD AWG AZM AZN BAM BBD BDT BEF BGL BGN BHD BIF BMD BND BOB BOV BRL
    BSD BTN BWP BYB BYN BYR BZD CAD CDF CHE CHF CHW CLF CLP CNY COP COU CRC CSD CUC CUP CVE CYP CZK DEM DJF DKK
    DOP DZD EEK EGP ERN ESP ETB EUR FIM FJD FKP FRF GBP GEL GHC GHS GIP GMD GNF GRD GTQ GWP GYD HKD HNL HRK HTG
    HUF IDR IEP ILS INR IQD IRR ISK ITL JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LTL
    LUF LVL LYD MAD MDL MGA MGF MKD MMK MNT MOP MRO MRU MTL MUR MVR MWK MXN MXV MYR MZM MZN NAD NGN NIO NLG NOK
    NPR NZD OMR PAB PEN PGK PHP PKR PLN PTE PYG QAR ROL RON RSD RUB RUR RWF SAR SBD SCR SDD SDG SEK SGD SHP SIT
    SKK SLE SLL SOS SRD SRG SSP STD STN SVC SYP SZL THB TJS TMM TMT TND TOP TPE TRL TRY TTD TWD TZS UAH UGX USD
    USN USS UYI UYU UYW UZS VEB VED VEF VES VND VUV WST XAD XAF XAG XAU XBA XBB XBC XBD XCD XCG XDR XOF XPD XPF
    XPT XSU XTS XUA XXX YER YUM ZAR ZMK ZMW ZWD ZWG ZWL ZWN ZWR
"""
COUNTRIES = """
    ABW AFG AGO AIA ALA ALB AND ANT ARE ARG ARM ASM ATA ATF ATG AUS AUT AZE BDI BEL BEN BES BFA BGD BGR BHR BHS
    BIH BLM BLR BLZ BMU BOL BRA BRB BRN BTN BVT BWA CAF CAN CCK CHE CHL CHN CIV CMR COD COG COK COL COM CPV CRI
    CUB CUW CXR CYM CYP CZE DEU DJI DMA DNK DOM DZA ECU EGY ERI ESH ESP EST ETH FIN FJI FLK FRA FRO FSM GAB GBR
    GEO GGY GHA GIB GIN GLP GMB GNB GNQ GRC GRD GRL GTM GUF GUM GUY HKG HMD HND HRV HTI HUN IDN IMN IND IOT IRL
    IRN IRQ ISL ISR ITA JAM JEY JOR JPN KAZ KEN KGZ KHM KIR KNA KOR KWT LAO LBN LBR LBY LCA LIE LKA LSO LTU LUX
    LVA MAC MAF MAR MCO MDA MDG MDV MEX MHL MKD MLI MLT MMR MNE MNG MNP MOZ MRT MSR MTQ MUS MWI MYS MYT NAM NCL
    NER NFK NGA NIC NIU NLD NOR NPL NRU NZL OMN PAK PAN PCN PER PHL PLW PNG POL PRI PRK PRT PRY PSE PYF QAT REU
    ROU RUS RWA SAU SCG SDN SEN SGP SGS SHN SJM SLB SLE SLV SMR SOM SPM SRB SSD STP SUR SVK SVN SWE SWZ SXM SYC
    SYR TCA TCD TGO THA TJK TKL TKM TLS TMP TON TTO TUN TUR TUV TWN TZA UGA UKR UMI URY USA UZB VAT VCT VEN VGB
    VIR VNM VUT WLF WSM XKX YEM YUG ZAF ZMB ZWE
"""


def test_a_code_that_was_accepted_once_stays_accepted() -> None:
    for code in CURRENCIES.split():
        assert fields.currency(code) == code, "a code that iso4217 drops belongs in WITHDRAWN_UNITS"
    for code in COUNTRIES.split():
        assert fields.country(code) == code, "a code that iso3166 drops belongs in WITHDRAWN_COUNTRIES"


def test_withdrawn_codes_are_not_current_ones() -> None:
    assert not codes.MINOR_UNITS.keys() & codes.WITHDRAWN_UNITS.keys()
    assert not codes.ALPHA2_TO_ALPHA3.keys() & codes.WITHDRAWN_COUNTRIES.keys()
    assert not codes.ALPHA3 & set(codes.WITHDRAWN_COUNTRIES.values())


def test_withdrawn_codes_keep_their_decimals_and_their_alpha_3_codes() -> None:
    assert {code: codes.WITHDRAWN_UNITS[code] for code in ("BGN", "HRK", "ANG", "ITL", "BYR")} == {
        "BGN": 2, "HRK": 2, "ANG": 2, "ITL": 0, "BYR": 0,
    }  # fmt: skip
    assert [fields.country(code) for code in ("an", "ANT", "CS")] == ["ANT", "ANT", "SCG"]

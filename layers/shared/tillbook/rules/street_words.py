"""Normal forms of the words in English street addresses, by USPS Publication 28: appendices C1 (suffixes) and C2 (unit
designators), chapter 23 (directions, boxes, routes).

Words that would make two different streets equal are left out: plurals that Publication 28 shortens like their singular
(Parks, Trails), and short forms that are also names (La, Via, Cr).
"""

from __future__ import annotations

import re

# Groups end at a | or a line end. The first word of a group is the normal form, which replaces the others.
_SUFFIXES = """
aly alley ally allee|anx annex annx anex|arc arcade|ave avenue av aven avenu avn avnue|bch beach|bg burg|bgs burgs
blf bluff bluf|blfs bluffs|blvd boulevard boul boulv|bnd bend|br branch brnch|brg bridge brdge|brk brook|brks brooks
btm bottom bot bottm|byp bypass bypa bypas byps|byu bayou bayoo|cir circle circ circl crcl crcle|cirs circles
cl close|clb club|clf cliff|clfs cliffs|cmn common|cmns commons|cor corner|cors corners|cp camp cmp|cpe cape
cres crescent crecent cresent crscnt crsent|crk creek ck|crse course|crst crest|cswy causeway causwa causway
ct court crt|ctr center centre cen cent centr cnter cntr|ctrs centers centres|cts courts|curv curve|cv cove|cvs coves
cyn canyon canyn cnyn|dl dale|dm dam|dr drive driv drv|drs drives|dv divide div dvd|est estate|ests estates
expy expressway exp expr express expw|ext extension extn extnsn|exts extensions|fld field|flds fields|fls falls
frd ford|frds fords|frg forge forg|frgs forges|frk fork|frks forks|frst forest|fry ferry frry|ft fort frt
fwy freeway freewy frway frwy|gdn garden gardn grden grdn|gdns gardens grdns|gln glen|glns glens|grn green|grns greens
grv grove grov|grvs groves|gtwy gateway gatewy gatway|hbr harbor harbour harb harbr hrbor|hbrs harbors|hl hill
hls hills|holw hollow hllw|hts heights hgts|hvn haven havn|hwy highway highwy hiway hiwy hway|inlt inlet
is island islnd|iss islands islnds|jct junction jction jctn junctn juncton|jcts junctions jctns|knl knoll knol
knls knolls|lck lock|lcks locks|ldg lodge ldge lodg|lf loaf|lgt light|lgts lights|lk lake|lks lakes|ln lane
lndg landing lndng|mdw meadow|mdws meadows medows|ml mill|mls mills|mnr manor|mnrs manors|msn mission missn mssn
mt mount mnt|mtn mountain mntain mntn mountin mtin|mtns mountains mntns|mtwy motorway|nck neck|opas overpass
orch orchard orchrd|oval ovl|park prk pk|pkwy parkway parkwy pkway pky|pl place|pln plain|plns plains plaines
plz plaza plza|pne pine|pnes pines|pr prairie prarie prr|prt port|prts ports|psge passage|pt point|pts points
radl radial rad radiel|rd road|rdg ridge rdge|rdgs ridges|rds roads|riv river rivr rvr|rnch ranch|rpd rapid
rpds rapids|rst rest|rte route|shl shoal|shls shoals|shr shore shoar|shrs shores shoars|skwy skyway
smt summit sumit sumitt|spg spring spng sprng|spgs springs spngs sprngs|sq square sqr sqre squ|sqs squares sqrs
st street str strt saint|sta station statn stn|stra stravenue strav strave straven stravn strvn strvnue
strm stream streme|sts streets|ter terrace terr|tpke turnpike tpk trnpk trpk turnpk|trak track trk|trce trace
trfy trafficway|trl trail tr|trwy throughway|tunl tunnel tunel tunnl|un union|uns unions|upas underpass
vdct viaduct viadct|vis vista vist vst vsta|vl ville|vlg village vill villag villg villiage|vlgs villages
vly valley vally vlly|vlys valleys|vw view|vws views|way wy|wl well|wls wells|xing crossing crssing crssng
xrd crossroad|xrds crossroads
"""
_UNITS = """
apt apartment unit flat|bldg building|dept department|fl floor|hngr hangar hanger|lot|ofc office|ph penthouse|pmb
rm room|slip|spc space|ste suite|trlr trailer
"""
_PLACES = "bsmt basement|frnt front|lbby lobby|lowr lower|uppr upper|rear|side"
_DIRECTIONS = "n north|s south|e east|w west|ne northeast|nw northwest|se southeast|sw southwest"
_ORDINALS = (
    "1st first|2nd second|3rd third|4th fourth|5th fifth|6th sixth|7th seventh|8th eighth|9th ninth|10th tenth"
    "|11th eleventh|12th twelfth"
)
_HOUSE_NUMBERS = "1 one|2 two|3 three|4 four|5 five|6 six|7 seven|8 eight|9 nine|10 ten"
# Replacements of phrases, applied in this order before words are replaced.
_PHRASES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\b(p o|post office) box\b|\bpobox\b", "po box"),
        (r"\brural (route|rte|rt)\b|\br r\b|\brfd\b|\br f d\b", "rr"),
        (r"\bhighway contract( route)?\b|\bhcr\b|\bh c\b", "hc"),
        (r"\bu s\b", "us"),
        (r"\bfarm to market( road| rd)?\b|\bf m\b", "fm"),
        (r"\binterstate( highway| hwy)?\b", "i"),
        (r"\bco (?=(road|rd|highway|hwy)\b)", "county "),
    )
]


def _normal_forms(text: str) -> dict[str, str]:
    """Returns the normal form of each word of a table."""
    groups = [group.split() for line in text.split("\n") for group in line.split("|") if group]
    return {word: group[0] for group in groups for word in group}


_SUFFIX, _UNIT, _DIRECTION = _normal_forms(_SUFFIXES), _normal_forms(_UNITS), _normal_forms(_DIRECTIONS)
_WORDS = _SUFFIX | _UNIT | _normal_forms(_PLACES) | _normal_forms(_ORDINALS)
_HOUSE_NUMBER = _normal_forms(_HOUSE_NUMBERS)
_DESIGNATORS = frozenset(_UNIT.values())
_NUMBERED = _DESIGNATORS | {"box", "rr", "hc", "psc", "cmr"}  # words after which a number sign is redundant
_ORDINAL = re.compile(r"(\d+)(st|nd|rd|th)", re.ASCII)
_UNIT_NUMBER = re.compile(r"\d{1,5}[a-z]?|[a-z]\d{0,4}", re.ASCII)


def street_words(parts: list[str]) -> tuple[list[str], list[str]]:
    """Returns an address as (words of the street, units sorted).

    `parts` are the texts between commas and line ends, as lower-case words with `#` for a number sign.
    """
    street: list[str] = []
    units: list[str] = []
    for index, part in enumerate(parts):
        words = _canonical(part, first=not index)
        if index and len(words) == 1 and _UNIT_NUMBER.fullmatch(words[0]):  # 1 Main St, 4B is 1 Main St, Apt 4B
            words = ["apt", *words]
        place = _first_unit(words)
        street += words[:place]
        while place < len(words):
            end = place + 1 + _first_unit(words[place + 1 :])
            units.append(_unit(words[place:end]))
            place = end
    return street, sorted(units)


def _first_unit(words: list[str]) -> int:
    """Returns the index of the first designator (Apt) that names a unit, or the number of words if there is none.

    A designator before a suffix is a street's name (Unit Dr). Words with a box have no unit: in a military address
    (Unit 2050 Box 4190), Unit is part of the street.
    """
    if "box" in words:
        return len(words)
    places = (i for i, word in enumerate(words[:-1]) if word in _DESIGNATORS and words[i + 1] not in _SUFFIX)
    return next(places, len(words))


def _unit(words: list[str]) -> str:
    """Returns the text of a unit. `4 b` and `4b` give the same text; `1 1` and `11` do not."""
    number = words[1]
    for word in words[2:]:
        # Digits beside letters are one number (4 B), and so is what a sign joins (4 - B). A word of more than four
        # characters is not part of a number, except after a sign.
        joins_digits_and_letters = word[0].isalpha() != number[-1].isalpha() and len(word) <= 4
        number += word if joins_digits_and_letters or word in "-/." or number[-1] in "-/." else f" {word}"
    return f"{words[0]} {number}"


def _canonical(part: str, *, first: bool) -> list[str]:
    """Returns the normal forms of a part's words. The first part may begin with a house number."""
    for pattern, replacement in _PHRASES:
        part = pattern.sub(replacement, part)
    sent = part.split()
    words: list[str] = []
    for index, word in enumerate(sent):
        normal = _WORDS.get(word, word)
        is_unit = bool(words) and words[-1] in _DESIGNATORS  # Apt East and Apt E are different apartments
        if word in _DIRECTION and not is_unit and not _is_name(sent, index):
            normal = _DIRECTION[word]
            if normal in ("e", "w") and words and words[-1] in ("n", "s"):  # N.E., South West
                normal = words.pop() + normal
        is_sign = normal == "#" or (normal in ("no", "number") and index + 1 < len(sent))
        if is_sign and words and words[-1] in _NUMBERED:
            continue
        words.append("apt" if normal == "#" else normal)  # without a designator before it, # 4 is Apt 4
    if first and len(words) > 1:
        words[0] = _HOUSE_NUMBER.get(words[0], words[0])
    if len(words) > 1 and words[-1] == "fl" and (ordinal := _ORDINAL.fullmatch(words[-2])):  # 2nd Floor is Floor 2
        words[-2:] = ["fl", ordinal[1]]
    if "us" in words[:-1]:  # US 40 is US Hwy 40
        place = words.index("us") + 1
        if words[place].isdecimal():
            words.insert(place, "hwy")
    return words


def _is_name(words: list[str], index: int) -> bool:
    """Returns whether a direction is the street's name: North St is not N St, but North Main St is N Main St.

    It is the name if the next word is a suffix, and the street ends there: nothing, a direction or a unit follows.
    """
    following = words[index + 1 : index + 3]
    if not following or following[0] not in _SUFFIX:
        return False
    return len(following) == 1 or following[1] in _DIRECTION or following[1] in _UNIT or following[1] == "#"

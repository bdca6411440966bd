"""Pages of a list, and the cursors that lead from one to the next."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass

from tillbook.rules.errors import Malformed
from tillbook.rules.json_text import Json, dumps

# The forms of places in cursors: the stamp of an event (rules.order.stamp_of), and the text of a views.people.Place.
STAMP = re.compile(r"\d{44}[\w-]{1,64}", re.ASCII)
PLACE = re.compile(r"\d{20}[os][\w-]{22}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list. `cursor` is the place after which the next page begins, None on the last page."""

    entries: list[Json]
    cursor: str | None


def encode_cursor(place: str) -> str:
    return urlsafe_b64encode(place.encode()).decode().rstrip("=")


def decode_cursor(text: str | None, form: re.Pattern[str] = STAMP) -> str | None:
    """The place in a cursor. A forged place gives no access to other accounts' data. Raises Malformed if the place does
    not have the `form`."""
    if text is None:
        return None
    try:
        place = urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except ValueError:
        place = ""
    if not form.fullmatch(place):
        raise Malformed("cursor is not valid.", "cursor")
    return place


def answer_bytes(entry: Json) -> int:
    """Size in bytes of the entry in the function's answer, which encodes JSON inside a JSON string."""
    return len(dumps(dumps(entry)).encode())

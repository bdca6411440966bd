"""Values of `new_buyer` and `promo_code` in metadata or custom attributes; reports group orders by them.

Both functions return None for a value that reports cannot count.
"""

from __future__ import annotations


def new_buyer_of(text: str) -> str | None:
    """The value as `true` or `false`."""
    return {"true": "true", "1": "true", "false": "false", "0": "false"}.get(text.strip().lower())


def promo_code_of(text: str) -> str | None:
    code = text.strip()
    return None if code.lower() in ("true", "false") else code

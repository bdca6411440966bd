"""Values of `new_buyer` and `promo_code`, by which reports group orders.

Shops send them as metadata (v1) or custom attributes (v3). Both functions return None for a value of another kind.
"""

from __future__ import annotations


def new_buyer_of(text: str) -> str | None:
    """Returns `true` or `false`; None for a text that is neither."""
    return {"true": "true", "1": "true", "false": "false", "0": "false"}.get(text.strip().lower())


def promo_code_of(text: str) -> str | None:
    """Returns the trimmed text, which may be empty; None for `true` and `false`, which are no codes."""
    code = text.strip()
    return None if code.lower() in ("true", "false") else code

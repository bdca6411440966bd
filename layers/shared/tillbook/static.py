"""A file that lies beside a function, served as it is. Imports nothing: such a function starts at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def serve(app: str, name: str, content_type: str) -> Callable[[dict[str, Any], Any], dict[str, Any]]:
    """A handler. `app` is the function's `__file__`; the file is read once, when the function starts."""
    answer = {
        "statusCode": 200,
        "headers": {"content-type": content_type, "cache-control": "public, max-age=300"},
        "body": Path(app).with_name(name).read_text(),
        "isBase64Encoded": False,
    }
    return lambda event, context: answer

"""Waits for operations of AWS, and reports every 10 seconds how long they have taken."""

from __future__ import annotations

import time
from collections.abc import Callable

_TIMES_OUT = 6 * 3600  # seconds; AWS needs minutes to hours to restore a table
_SAID_SECONDS = 10  # between two messages
_MOST_SECONDS = 5  # between two calls of `done`


class Stuck(Exception):
    """A step failed; the message says why. Once the cause is fixed, the command can be run again."""


def wait(what: str, done: Callable[[], bool], say: Callable[[str], None]) -> None:
    """Waits until `done` returns true, and reports `what` meanwhile. Raises Stuck after six hours."""
    begin, pause = time.monotonic(), 0.1
    said = begin
    while not done():
        now = time.monotonic()
        if now - begin > _TIMES_OUT:
            raise Stuck(f"After {_TIMES_OUT // 3600} hours, the wait was given up: {what}.")
        if now - said >= _SAID_SECONDS:
            say(f"{what} ({now - begin:.0f} s)")
            said = now
        time.sleep(pause)
        pause = min(2 * pause, _MOST_SECONDS)

"""A clock for stamps and request ids that a test controls."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

_MILLISECOND = 1_000_000


class Clock:
    """Replaces the module `time` in tillbook.times.

    Each reading is `step` nanoseconds after the previous one. The default step is a millisecond, so that no two stamps
    are equal and no two request ids share a millisecond: they have the order of the calls on a machine of any speed.

    Attributes:
        nanoseconds: the last reading, counted from 1970; the clock begins at the real time.
        step: the nanoseconds that a reading adds.
    """

    def __init__(self) -> None:
        self.nanoseconds, self.step = time.time_ns(), _MILLISECOND

    def set(self, moment: datetime) -> None:
        """Sets the clock to a moment, in whole seconds."""
        self.nanoseconds = int(moment.timestamp()) * 1_000_000_000

    def time_ns(self) -> int:
        self.nanoseconds += self.step
        return self.nanoseconds

    def time(self) -> float:
        return self.time_ns() / 1e9

    def sleep(self, seconds: float) -> None:
        """Advances the clock without waiting."""
        self.nanoseconds += int(seconds * 1_000_000_000)

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

"""A progress bar on standard error, with rate and remaining time; without a terminal, a line every 10 seconds."""

from __future__ import annotations

import sys
import time
from types import TracebackType

_WIDTH = 30
_TERMINAL_SECONDS, _LOG_SECONDS = 0.2, 10.0  # between two updates


class Progress:
    """A progress bar. `total` is None if unknown. `begin`: the number done by earlier runs, excluded from the rate."""

    def __init__(self, what: str, total: int | None = None, *, begin: int = 0, quiet: bool = False) -> None:
        self._what, self._total, self._quiet = what, total, quiet
        self._terminal = sys.stderr.isatty()
        self._start = time.monotonic()
        # Without a terminal, the first line is written after half of _LOG_SECONDS.
        self._shown = self._start if self._terminal else self._start - _LOG_SECONDS / 2
        self._done = self._begin = begin
        self.note = ""

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._quiet:
            self._show("\n" if self._terminal else "")

    def add(self, count: int = 1) -> None:
        self.at(self._done + count)

    def at(self, done: int) -> None:
        self._done = done
        now = time.monotonic()
        if not self._quiet and now - self._shown >= (_TERMINAL_SECONDS if self._terminal else _LOG_SECONDS):
            self._shown = now
            self._show()

    def _show(self, end: str = "") -> None:
        rate = (self._done - self._begin) / max(time.monotonic() - self._start, 1e-6)
        line = f"{self._done:,} {self._what}, {rate:,.0f}/s"
        if self._total is not None:
            share = min(self._done / self._total, 1.0) if self._total else 1.0
            filled = int(_WIDTH * share)
            left = int((self._total - self._done) / rate) if rate else 0
            line = (
                f"[{'#' * filled}{'.' * (_WIDTH - filled)}] {self._done:,} of {self._total:,} {self._what}, "
                f"{rate:,.0f}/s, {max(left, 0) // 60}:{max(left, 0) % 60:02d} left"
            )
        line += f"; {self.note}" if self.note else ""
        sys.stderr.write(f"\r{line}\x1b[K{end}" if self._terminal else f"{line}\n")
        sys.stderr.flush()

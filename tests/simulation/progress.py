"""A progress bar with rate and time left: one line that is redrawn on a terminal, else a line every 20 seconds."""

from __future__ import annotations

import sys
import time


class Progress:
    def __init__(self, total: int, what: str, *, quiet: bool = False) -> None:
        self._total, self._what, self._quiet = total, what, quiet
        self._terminal = sys.stderr.isatty()
        self._start = self._shown = time.monotonic()
        self._done = 0

    def add(self, count: int = 1, note: str = "") -> None:
        self._done += count
        now = time.monotonic()
        if self._quiet or (now - self._shown < (0.2 if self._terminal else 20) and self._done < self._total):
            return
        self._shown = now
        rate = self._done / max(now - self._start, 1e-6)
        left = (self._total - self._done) / rate
        filled = int(30 * self._done / max(self._total, 1))
        line = (
            f"[{'#' * filled}{'.' * (30 - filled)}] {self._done:,} of {self._total:,} {self._what}, {rate:.1f}/s, "
            f"{int(left) // 60}:{int(left) % 60:02d} left{note and '; '}{note}"
        )
        sys.stderr.write(f"\r{line}\x1b[K" if self._terminal else f"{line}\n")
        sys.stderr.flush()

    def clear(self) -> None:
        """Clears the line, so that something else can be printed."""
        if self._terminal and not self._quiet:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

"""A progress bar on stderr: redrawn in place on a terminal, else a line every ten seconds."""

from __future__ import annotations

import sys
import time

_WIDTH = 30


class Bar:
    def __init__(self, total: int) -> None:
        self._total, self._start, self._shown = total, time.monotonic(), 0.0
        self._terminal = sys.stderr.isatty()

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._terminal:
            print(file=sys.stderr)

    def show(self, done: int, note: str = "") -> None:
        now = time.monotonic()
        if now - self._shown < (0.2 if self._terminal else 10):
            return
        self._shown = now
        full = _WIDTH * done // max(self._total, 1)
        rate = done / max(now - self._start, 0.001)
        text = f"[{'#' * full}{'.' * (_WIDTH - full)}] {done:,}/{self._total:,}  {rate:.0f}/s  {note}"
        print(text, end="\r" if self._terminal else "\n", file=sys.stderr, flush=True)

"""Deploys the running stack again when code or template change."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from local import template as templates
from local.stack import Stack

POLL_SECONDS = 0.5

# Modification time of each file, in nanoseconds.
Snapshot = dict[Path, int]


class Reloader:
    """A context manager around a thread that looks for changed files every POLL_SECONDS."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._stop = threading.Event()
        self._loaded: tuple[int, templates.Template] = 0, {}  # (modification time, template)
        self._seen = self._snapshot()
        self._thread = threading.Thread(target=self._watch, name="reload", daemon=True)

    def __enter__(self) -> Reloader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(POLL_SECONDS):
            try:
                now = self._snapshot()
                paths = now.keys() | self._seen.keys()
                if changed := sorted(p for p in paths if now.get(p) != self._seen.get(p)):
                    self._seen = now
                    self._reload(changed)
            # A template that is half saved, or a file that is being replaced, can raise any error.
            # The thread must survive: the next look finds the complete file.
            except Exception as error:
                print(f"Not reloaded: {' '.join(str(error).split())}", flush=True)

    def _reload(self, changed: list[Path]) -> None:
        names = ", ".join(str(path.relative_to(self._stack.root)) for path in changed[:3])
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        started = time.monotonic()
        self._stack.deploy()
        print(f"Reloaded {names}{more} ({time.monotonic() - started:.1f} s)", flush=True)

    def _snapshot(self) -> Snapshot:
        template = self._stack.template
        if self._loaded[0] != (changed := template.stat().st_mtime_ns):  # parsing it takes a tenth of a second
            self._loaded = changed, templates.load(template)
        files = templates.code_files(self._loaded[1], self._stack.root)
        return {path: path.stat().st_mtime_ns for path in (template, *files)}

"""Writes the addresses of the running stack to .local/stack.json, where `tillbook --local` finds them."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator

from local.deploy import STACK
from local.stack import ROOT, Stack

FILE = ROOT / ".local" / "stack.json"


@contextlib.contextmanager
def announced(stack: Stack) -> Iterator[None]:
    """Writes the file on entry. Deletes it on exit, unless a stack that started later has written it since."""
    FILE.parent.mkdir(exist_ok=True)
    content = json.dumps(
        {"endpoint_url": stack.endpoint_url, "stack_name": STACK, "url": stack.url, "process": os.getpid()}
    )
    FILE.write_text(content + "\n")
    try:
        yield
    finally:
        with contextlib.suppress(OSError, ValueError, KeyError):
            if json.loads(FILE.read_text())["process"] == os.getpid():
                FILE.unlink()
                FILE.parent.rmdir()

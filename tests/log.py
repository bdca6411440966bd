"""Lets the functions' log follow sys.stdout, which pytest replaces; the log's handler itself keeps the first one."""

from __future__ import annotations

import logging
import sys

from tillbook.aws.telemetry import logger


class Stdout:
    def write(self, text: str) -> int:
        return sys.stdout.write(text)

    def flush(self) -> None:
        sys.stdout.flush()


def follow_stdout() -> None:
    for handler in logger.handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(Stdout())

"""The local stack with a small project, so that most of these tests depend on no function of Tillbook."""

from __future__ import annotations

import http.client
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from local.stack import Stack

PROJECT = Path(__file__).parent / "project"


@dataclass
class Reply:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Client:
    """An HTTP client that sends paths unchanged; other clients normalize them.

    `failures`: name and log of each function that failed.
    """

    stack: Stack
    failures: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, method: str, path: str, body: bytes | str | None = None, **headers: str) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.stack.port, timeout=120)
        try:
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, {"content-type": "application/json"} | sent)
            response = connection.getresponse()
            return Reply(response.status, response.headers, response.read())
        finally:
            connection.close()


@pytest.fixture(scope="session")
def client() -> Iterator[Client]:
    os.environ["SHOP_SECRET"] = "a variable that no function may see"
    failures: list[tuple[str, str]] = []
    with Stack(
        template=PROJECT / "template.yaml", failed=lambda function, log: failures.append((function, log))
    ) as stack:
        yield Client(stack, failures)


@pytest.fixture
def project(tmp_path: Path) -> Callable[[], Path]:
    """A function that copies the project, so that a test may edit it, and returns the template of the copy."""

    def copy() -> Path:
        shutil.copytree(PROJECT, tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__"))
        return tmp_path / "project" / "template.yaml"

    return copy

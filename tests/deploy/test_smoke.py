"""The smoke test passes against the local stack, and fails where something is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from deploy.smoke import Failed, Smoke, smoke
from local.seed import ACCOUNT, ADMIN_KEY, INGEST_KEY
from local.stack import ROOT, Stack


def run_smoke_test(url: str, ingest: str = INGEST_KEY) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deploy.smoke", "--url", url, "--account", ACCOUNT],
        cwd=ROOT,
        env=os.environ | {"TILLBOOK_INGEST_KEY": ingest, "TILLBOOK_ADMIN_KEY": ADMIN_KEY},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_smoke_test_passes_against_the_local_stack(stack: Stack) -> None:
    ran = run_smoke_test(stack.url)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    checks = Smoke(stack.url, ACCOUNT, INGEST_KEY, ADMIN_KEY).checks()
    # The first line names the deployment; the others begin with the result of a check.
    assert [line.split("  ")[0] for line in ran.stdout.splitlines()[1:]] == ["ok"] * len(checks)


def test_a_wrong_key_fails_the_smoke_test_and_is_not_printed(stack: Stack) -> None:
    ran = run_smoke_test(stack.url, "wrong")
    assert ran.returncode == 1
    assert "FAILED" in ran.stdout
    assert "wrong" not in ran.stdout + ran.stderr


def test_a_wrong_lifetime_value_fails_the_smoke_test(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    target = Smoke(stack.url, ACCOUNT, INGEST_KEY, ADMIN_KEY)
    monkeypatch.setattr(target, "v3_order", lambda name: Smoke.v3_order(target, name, grand_total="22.98"))
    with pytest.raises(Failed, match=r"22\.98"):
        target.v3_life()
    target.clear()


def test_a_failed_erasure_fails_the_smoke_test(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    target = Smoke(stack.url, ACCOUNT, INGEST_KEY, ADMIN_KEY)
    read = target.read
    monkeypatch.setattr(target, "read", lambda path: read(path) | {"status": "failed"})
    with pytest.raises(Failed, match="the erasure"):
        target.clear()


class BrokenGateway(BaseHTTPRequestHandler):
    """A gateway that answers 400 to every request."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"] or 0))
        self.send_response(400)
        self.end_headers()

    do_GET = do_DELETE = do_POST  # noqa: N815

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def broken_gateway() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), BrokenGateway)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_every_check_can_fail(broken_gateway: str, capsys: pytest.CaptureFixture[str]) -> None:
    target = Smoke(broken_gateway, ACCOUNT, INGEST_KEY, ADMIN_KEY)
    # The checks that wait end at once, because their requests are refused.
    assert smoke(target) is False
    assert capsys.readouterr().out.count("FAILED") == len(target.checks())

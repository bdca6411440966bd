"""Lambda's Runtime API for one function, on loopback: its runtime client gets events here, and posts answers to them.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

from __future__ import annotations

import json
import queue
import subprocess
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

VERSION = "/2018-06-01/runtime"
ANSWER_SECONDS = 240


class FunctionFailed(Exception):
    """The function raised, did not start, did not answer in time, or its process ended. The message has the log."""


@dataclass(frozen=True)
class _Reply:
    request_id: str  # "" if the reply answers no event
    kind: str  # "response", "error" or "ended"
    body: Any


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        # (request id, event, seconds until the deadline). None ends the connection.
        self.events: queue.Queue[tuple[str, bytes, float] | None] = queue.Queue()
        self.replies: queue.Queue[_Reply] = queue.Queue()
        self.arn = ""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        if self.path != f"{VERSION}/invocation/next":
            self._answer(404, b"{}")
            return
        event = self.server.events.get()
        if event is None:
            self.close_connection = True
            return
        request_id, body, seconds = event
        headers = {
            "Lambda-Runtime-Aws-Request-Id": request_id,
            "Lambda-Runtime-Deadline-Ms": str(int((time.time() + seconds) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": self.server.arn,
            "Lambda-Runtime-Trace-Id": "Root=1-5c5ea451-0123456789abcdef01234567;Sampled=0",
            "Content-Type": "application/json",
        }
        self._answer(200, body, headers)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"null")
        self._answer(202, b'{"status":"OK"}')
        # {VERSION}/invocation/{request id}/response or /error, or {VERSION}/init/error
        parent, _, kind = self.path.rpartition("/")
        request_id = parent.rpartition("/")[2] if "/invocation/" in parent else ""
        self.server.replies.put(_Reply(request_id, "response" if kind == "response" else "error", body))

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        pass


class RunningFunction:
    """A function in its own process. Its variables are `environment` and the address of this API; none are inherited.

    `seconds`: the function's time-out. Each event's deadline is that far ahead.
    """

    def __init__(self, name: str, command: list[str], environment: Mapping[str, str], log: Path, seconds: float):
        self.name = name
        self.log = log
        self.command = command
        self.environment = environment
        self._seconds = seconds
        self._ended: _Reply | None = None
        self._server = _Server()
        self._server.arn = f"arn:aws:lambda:us-east-1:123456789012:function:{name}"

    def __enter__(self) -> RunningFunction:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        address = f"127.0.0.1:{self._server.server_address[1]}"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                self.command,
                env={**self.environment, "AWS_LAMBDA_RUNTIME_API": address},
                cwd=self.environment["LAMBDA_TASK_ROOT"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._server.events.put(None)
        self._server.shutdown()
        self._server.server_close()

    def invoke(self, event: Any) -> dict[str, Any]:
        """The function's answer. Raises FunctionFailed, and does so at once if the process has ended."""
        reply = self._reply_to(event)
        if reply.kind == "ended":
            self._ended = reply
        if reply.kind != "response":
            log = self.log.read_text(errors="replace")[-4000:]
            raise FunctionFailed(f"{self.name}: {json.dumps(reply.body, indent=1)}\n{log}")
        answer: dict[str, Any] = reply.body
        return answer

    def _reply_to(self, event: Any) -> _Reply:
        """The reply to this event, or the end of the process. A late reply to an earlier event is dropped."""
        if self._ended is not None:
            return self._ended
        request_id, end = str(uuid.uuid4()), time.monotonic() + ANSWER_SECONDS
        self._server.events.put((request_id, json.dumps(event).encode(), self._seconds))
        while True:
            try:
                reply = self._server.replies.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                return _Reply(request_id, "error", f"no answer in {ANSWER_SECONDS} s")
            if reply.request_id in (request_id, ""):
                return reply

    def _watch(self) -> None:
        code = self._process.wait()
        self._server.replies.put(_Reply("", "ended", f"the process ended with {code}"))

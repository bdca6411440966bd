"""The embedded AWS: MiniStack in a child process, which listens on loopback and ends when its parent ends.

This file is also the program of the child process. The child reads from a pipe that only the parent can write to. If
the parent ends for any reason, the pipe closes, and MiniStack and its function workers end, too. With a directory for
state, MiniStack saves its state while it runs (snapshots.py).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parent.parent))

from local.key_conditions import narrowed
from local.snapshots import Snapshots, newest

START_SECONDS = 30
# Long enough for MiniStack to write its last snapshot when it ends.
STOP_SECONDS = 20


class EmbeddedAws:
    """MiniStack as a child process.

    `directory` is for its log and temporary files; `state`, if given, for snapshots, which the next start loads.
    """

    def __init__(self, directory: Path, state: Path | None = None) -> None:
        self.log = directory / "ministack.log"
        self.port = _port(state)
        self.endpoint_url = f"http://127.0.0.1:{self.port}"
        self._temporary = directory / "tmp"
        self._snapshots = state / "snapshots" if state else None
        self._loaded = newest(self._snapshots) if self._snapshots else None
        self._process: subprocess.Popen[bytes] | None = None
        self._log_file: IO[bytes] | None = None

    def start(self) -> None:
        """Starts MiniStack, and returns when it answers. Raises RuntimeError with the end of its log if it does not."""
        self._temporary.mkdir(parents=True, exist_ok=True)
        self._log_file = self.log.open("wb")
        self._process = subprocess.Popen(
            # -P: without it, modules of local/ could be imported by their short names, in place of others.
            [sys.executable, "-P", __file__, *([str(self._snapshots)] if self._snapshots else [])],
            env=self._environment(),
            stdin=subprocess.PIPE,
            stdout=self._log_file,
            stderr=subprocess.STDOUT,
            # A separate session: Ctrl-C in a terminal reaches the parent only, which closes the front door first.
            start_new_session=True,
        )
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            time.sleep(0.02)
        self.stop()
        raise RuntimeError(f"MiniStack did not start:\n{self.log.read_text(errors='replace')[-2000:]}")

    def wait_until_saved(self) -> None:
        """Waits until a snapshot has the deployment.

        Later writes are only in the journal (snapshots.py), and its replay needs the tables of a snapshot. Without a
        directory for state, returns at once. Raises RuntimeError after START_SECONDS.
        """
        if self._snapshots is None:
            return
        end = time.monotonic() + START_SECONDS
        while newest(self._snapshots) in (None, self._loaded):
            if time.monotonic() > end:
                log = self.log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"The state could not be saved in {self._snapshots}:\n{log}")
            time.sleep(0.02)

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin:
            with contextlib.suppress(OSError):
                process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        # Workers end when their pipe closes, except perhaps a worker that waits for an answer of the ended MiniStack.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if self._log_file:
            self._log_file.close()

    def _environment(self) -> dict[str, str]:
        """MiniStack's environment. Functions inherit it, so it has only PATH and locale of the caller's environment."""
        environment = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
        environment |= {
            "GATEWAY_PORT": str(self.port),
            "BIND_HOST": "127.0.0.1",
            "MINISTACK_HOST": "127.0.0.1",
            "TMPDIR": str(self._temporary),
            # Functions run with their roles: a call that the template's policies do not allow is refused, as on AWS.
            "AUTH": "true",
            # These servers would listen on further ports, and are not needed.
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
            # Each worker has its own copy of the code, so no other process would read the bytecode.
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        if self._snapshots:
            environment |= {"PERSIST_STATE": "1", "STATE_DIR": str(self._loaded or self._temporary / "state")}
        return environment


def _port(state: Path | None) -> int:
    """A free port; with state, the port of the first start, since the URLs of stored queues contain it.

    Raises RuntimeError if that port is taken.
    """
    port_file = state / "port" if state else None
    with socket.socket() as probe:
        # Servers set this option, too; without it a port that was closed a moment ago looks taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        wanted = int(port_file.read_text()) if port_file and port_file.exists() else 0
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            raise RuntimeError(
                f"The state in {state} belongs to port {wanted}, which is taken. Is another stack running on it?"
            ) from None
        port: int = probe.getsockname()[1]
    if port_file:
        port_file.parent.mkdir(parents=True, exist_ok=True)
        port_file.write_text(str(port))
    return port


def _is_stream_event(event: Any) -> bool:
    records = event.get("Records") if isinstance(event, dict) else None
    first = records[0] if isinstance(records, list) and records else None
    return isinstance(first, dict) and first.get("eventSource") == "aws:dynamodb"


def with_stream_failures(execute: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Wraps `execute` so that a batch of a stream fails if its function reports failed records.

    Without this, MiniStack would acknowledge the batch. AWS repeats only the records from the first failed one on;
    here the whole batch is repeated.
    """

    def executed(function: Any, event: Any, *arguments: Any, **named: Any) -> dict[str, Any]:
        result = execute(function, event, *arguments, **named)
        if _is_stream_event(event) and not result.get("error"):
            body = result.get("body")
            answer = json.loads(body) if isinstance(body, str | bytes) and body else body
            if isinstance(answer, dict) and answer.get("batchItemFailures"):
                return result | {"error": True, "body": {"errorType": "ReportBatchItemFailures"}}
        return result

    return executed


def _serve(snapshots: Path | None) -> None:
    """Runs MiniStack in the child process, corrected and made faster. `snapshots`: their directory, if any."""
    from ministack import app
    from ministack.core import iam_actions, lambda_runtime
    from ministack.services import dynamodb, lambda_svc
    from ministack.services.cloudformation import provisioners

    # After each answer MiniStack reads the worker's log. By default it waits 50 ms for the first line; here 5 ms.
    lambda_runtime.Worker._drain_stderr_bounded.__defaults__ = (0.005, 0.005, 0.25)

    lambda_svc._execute_function = with_stream_failures(lambda_svc._execute_function)
    # Without this, MiniStack sorts the whole partition for each query, so functions time out during a large import.
    dynamodb._query = narrowed(dynamodb._query, dynamodb._tables)

    # IAM has no actions for batches: the right to send one message includes a batch.
    action_of = iam_actions.extract_iam_action

    def without_batch(*arguments: Any, **named: Any) -> Any:
        action = action_of(*arguments, **named)
        return action.removesuffix("Batch") if action and action.startswith("sqs:") else action

    iam_actions.extract_iam_action = without_batch

    # MiniStack does not support alarms on expressions. They are stored with a metric that has no data, so they never
    # ring.
    record = provisioners._cw_metric_alarm_record

    def alarm_record(name: str, properties: dict[str, Any]) -> Any:
        if properties.get("Metrics"):
            properties = properties | {"Metrics": None, "Namespace": "Expression", "MetricName": name}
        return record(name, properties)

    provisioners._cw_metric_alarm_record = alarm_record

    def end_with_the_parent() -> None:
        sys.stdin.buffer.read()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(STOP_SECONDS)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=end_with_the_parent, daemon=True).start()
    if snapshots:
        Snapshots(snapshots).install()
    sys.argv = ["ministack"]
    try:
        app.main()
    finally:
        lambda_runtime.reset()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]) if sys.argv[1:] else None)

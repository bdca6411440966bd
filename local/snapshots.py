"""Snapshots and journals of the embedded AWS, so that a `kill -9` loses nothing that MiniStack acknowledged.

MiniStack writes its state only when it ends, file by file. Here a forked copy of its process writes the whole state, as
Redis does, so that requests only wait for the fork. This happens after a second without requests, every few seconds
while there are requests, and at the end. Snapshot N is the directory `N`, which gets its name when it is complete.
Later writes to tables and queues are in `N.journal`, each before it is acknowledged. A start loads the last snapshot
and replays the journals since then. A replayed message is delivered again even if it was processed, as SQS may do.

The journal is flushed to disk every second, so a power cut may lose the last second.

This code runs in MiniStack's own process.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import signal
import time
import traceback
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

QUIET_SECONDS = 1.0
BUSY_SECONDS = 5.0
_LOOK_SECONDS = 0.1
# A writer that takes longer is killed: it probably waits for a lock that another thread held at the time of the fork.
_WRITE_SECONDS = 120
_SERVICES = ("dynamodb", "sqs")
_WRITES = frozenset(
    {"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems", "SendMessage", "SendMessageBatch"}
)


def newest(directory: Path) -> Path | None:
    """The last complete snapshot; None if there is none."""
    return max((path for path in directory.glob("*") if path.name.isdigit()), key=lambda p: int(p.name), default=None)


class Snapshots:
    """The snapshots and journals in `directory`. `install` makes MiniStack write and load them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._open = 0  # requests that are being answered
        self._changed = False  # whether anything may have changed since the last snapshot was begun
        self._busy_at = self._written_at = time.monotonic()
        self._writer, self._begun_at = 0, 0.0  # process id (0: none), and time.monotonic() of its start
        directory.mkdir(parents=True, exist_ok=True)
        self._number = max((int(path.stem) for path in directory.iterdir()), default=0)
        self._handlers: dict[str, Any] = {}
        self._journal = self._next_journal()
        self._is_flushed, self._flushed_at = True, time.monotonic()

    def _next_journal(self) -> BinaryIO:
        self._number += 1
        journal = (self._directory / f"{self._number}.journal").open("ab")
        _flush(self._directory)
        return journal

    def install(self) -> None:
        """Wraps MiniStack's application, loading and saving. Must be called before MiniStack starts."""
        from ministack import app

        inner, load = app.app, app._load_persisted_state

        async def watched(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "lifespan":
                keeping = asyncio.create_task(self._keep())
                await inner(scope, receive, send)
                keeping.cancel()
                return
            self._open += 1
            try:
                await inner(scope, receive, send)
            finally:
                self._open -= 1
                self._changed, self._busy_at = True, time.monotonic()

        def loaded() -> None:
            load()
            self._replay()

        app.app, app._load_persisted_state = watched, loaded
        app.save_all = lambda _services: self._end()
        for service in _SERVICES:
            self._note_writes(app._get_module(service), service)

    def _note_writes(self, module: Any, service: str) -> None:
        """Makes a service write each successful write request to the journal before it answers.

        The service's handler does not yield to the event loop while it writes, so the journal has the writes in order.
        """
        handle = self._handlers[service] = module.handle_request

        async def noted(method: str, path: str, headers: dict[str, str], body: bytes, query: Any) -> Any:
            answer = await handle(method, path, headers, body, query)
            target = headers.get("x-amz-target", "")
            if answer[0] == 200 and target.rpartition(".")[2] in _WRITES:
                line = json.dumps({"service": service, "target": target, "body": body.decode()})
                self._journal.write(line.encode() + b"\n")
                self._journal.flush()
                self._is_flushed = False
            return answer

        module.handle_request = noted

    def _replay(self) -> None:
        last = newest(self._directory)
        if last is None:
            return
        for number in range(int(last.name), self._number):
            path = self._directory / f"{number}.journal"
            for line in path.read_bytes().split(b"\n")[:-1]:  # a line that was cut short was not acknowledged
                request = json.loads(line)
                headers = {"x-amz-target": request["target"]}
                answering = self._handlers[request["service"]]("POST", "/", headers, request["body"].encode(), {})
                with suppress(StopIteration):  # the coroutine has ended: handlers of writes never wait
                    answering.send(None)
                self._changed = True

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                await self._look(time.monotonic())
            except OSError:  # for example a full disk, which may have room later
                traceback.print_exc()

    async def _look(self, now: float) -> None:
        from ministack.services import lambda_svc

        if self._open or lambda_svc._esm_inflight:  # functions work on batches of messages
            self._changed, self._busy_at = True, now
        if not self._is_flushed and now - self._flushed_at >= QUIET_SECONDS:
            self._is_flushed, self._flushed_at = True, now
            await asyncio.to_thread(os.fsync, self._journal.fileno())
        if self._writer:
            self._check_writer(now)
        elif self._changed and self._is_due(now) and not _is_deploying():
            self._begin()

    def _is_due(self, now: float) -> bool:
        return now - self._busy_at >= QUIET_SECONDS or now - self._written_at >= BUSY_SECONDS

    def _check_writer(self, now: float) -> None:
        if now - self._begun_at > _WRITE_SECONDS:
            os.kill(self._writer, signal.SIGKILL)
        process, status = os.waitpid(self._writer, os.WNOHANG)
        if process:
            self._writer, self._written_at = 0, now
            if status:  # the writer failed and has logged the reason, or was killed
                self._changed, self._busy_at = True, now

    def _begin(self) -> None:
        """Starts a writer. Runs on the event loop, so no other request, and no transaction, is half done."""
        self._changed, self._begun_at = False, time.monotonic()
        os.fsync(self._journal.fileno())
        self._journal, self._is_flushed = self._next_journal(), True
        parent = os.getpid()
        with warnings.catch_warnings():
            # Python warns that other threads may hold locks. If the writer needs one, _WRITE_SECONDS ends it.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._writer = os.fork()
        if self._writer == 0:
            try:
                _detach_from_parent()
                _write(self._directory / str(self._number), parent)
            except BaseException:
                os.write(2, f"The state was not saved:\n{traceback.format_exc()}".encode())
                os._exit(1)
            os._exit(0)

    def _end(self) -> None:
        """Writes a last snapshot, if anything changed since the last complete one was begun."""
        if self._writer:
            os.kill(self._writer, signal.SIGKILL)
            os.waitpid(self._writer, 0)
            self._changed = True
        if self._changed:
            self._begin()
            os.waitpid(self._writer, 0)


def _is_deploying() -> bool:
    """Whether a deployment runs: a stack that is saved in the middle of one could not be deployed again."""
    from ministack.services import cloudformation

    return any(stack["StackStatus"].endswith("_IN_PROGRESS") for _, stack in cloudformation._stacks.all_items())


def _detach_from_parent() -> None:
    """Closes inherited files and resets signals, so that a writer that outlives MiniStack does not keep its port."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    for descriptor in [int(path.name) for path in Path("/dev/fd").iterdir()]:
        if descriptor > 2:
            with suppress(OSError):  # the descriptor of the listing itself is closed already
                os.close(descriptor)
    logging.disable()
    os.nice(10)


def _write(snapshot: Path, parent: int) -> None:
    from ministack import app
    from ministack.core import persistence
    from ministack.services import lambda_svc, sqs

    partial = snapshot.with_suffix(".partial")
    partial.mkdir()
    persistence.STATE_DIR, lambda_svc.CODE_BLOB_DIR = str(partial), str(partial / "lambda-blobs")
    # The functions that have received messages no longer exist when the snapshot is loaded, so messages become visible.
    for _, queue in sqs._queues.all_items():
        for message in queue["messages"]:
            if message.get("receive_count"):
                message["visible_at"] = 0.0
    for name, get_state in app._build_persistence_save_dict().items():
        state = get_state()
        if state is not None:
            persistence.save_state(name, state)  # logs an error instead of raising it
            if not (partial / f"{name}.json").exists():
                raise OSError(f"{name} could not be written.")
    for path in (*partial.rglob("*"), partial):
        _flush(path)
    if os.getppid() != parent:
        raise InterruptedError("MiniStack has ended; a new one may use the snapshots that would be deleted here.")
    partial.rename(snapshot)
    _flush(snapshot.parent)
    for path in snapshot.parent.iterdir():
        if int(path.stem) < int(snapshot.name):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

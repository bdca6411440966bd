"""The whole stack on this machine, for `make run` and for the tests.

>>> with Stack() as stack:
...     requests.post(f"{stack.url}/v1/order", ...)
...     stack.boto3_client("dynamodb").scan(TableName=stack.outputs["LedgerTableName"])
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from types import TracebackType
from typing import Any

import boto3
import uvicorn
from botocore.config import Config

from local import template as templates
from local.deploy import Deployed, deploy
from local.embedded_aws import EmbeddedAws
from local.front_door import FrontDoor, Throttle, invoker

ROOT = Path(__file__).resolve().parent.parent
# The longest time that an HTTP API waits for a function.
INTEGRATION_SECONDS = 30
# ProcessingConcurrency is lower than the default of 20, since one machine has fewer processors. SettleSeconds is the
# minimum of the template, so that purges and erasures take less time. It exceeds the 60 s that a function may run:
# otherwise an item that a function writes after the job has passed would remain.
PARAMETERS = {"Stage": "dev", "ProcessingConcurrency": "4", "SettleSeconds": "90"}


class PortTaken(Exception):
    """The port cannot be used. The message names the port, the reason and a remedy."""


class Stack:
    """A context manager: inside it MiniStack runs, the template is deployed and the front door serves `url`.

    `port` 0 chooses a free port. `state` is a directory for the data, which the next start loads (snapshots.py).
    `concurrency` is how many functions the front door calls at once. Each needs a process, which starts slowly and is
    used again, so a higher number does not serve a burst sooner.
    `failed` gets the logical id of each function that raised an error or timed out behind the front door, and the end
    of its log.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        state: Path | None = None,
        template: Path = ROOT / "template.yaml",
        root: Path | None = None,
        parameters: Mapping[str, str] = PARAMETERS,
        concurrency: int = 8,
        failed: Callable[[str, str], None] = lambda _function, _log: None,
    ) -> None:
        self.template = template
        self.root = root or template.parent
        self.outputs: dict[str, str] = {}
        self.resources: dict[str, str] = {}
        self._port = port
        self._state = state
        self._parameters = parameters
        self._concurrency = concurrency
        self._failed = failed
        self._exit = contextlib.ExitStack()

    def __enter__(self) -> Stack:
        with contextlib.ExitStack() as undo:
            # The port is opened first, so that a port in use is reported at once.
            listener = undo.enter_context(_listen(self._port))
            self.port = listener.getsockname()[1]
            self.url = f"http://127.0.0.1:{self.port}"
            self.directory = Path(tempfile.mkdtemp(prefix="tillbook-"))
            undo.callback(shutil.rmtree, self.directory, ignore_errors=True)
            self.aws = EmbeddedAws(self.directory, self._state)
            self.endpoint_url = self.aws.endpoint_url
            undo.callback(self.aws.stop)
            self.aws.start()
            self.boto3_client = cache(self._client)
            self.deploy()
            self.aws.wait_until_saved()
            self._open(listener, undo)
            self._exit = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.close()

    def deploy(self) -> None:
        """Deploys the current template and code. Raises DeployError, TemplateError; the old deployment then remains."""
        deployed: Deployed = deploy(self.boto3_client, self.template, self.root, self._parameters)
        self.outputs, self.resources = deployed.outputs, deployed.resources
        template = templates.load(self.template)
        self.routes = templates.routes(template)
        self._log_format, self._throttling = templates.access_log(template), templates.throttling(template)
        if hasattr(self, "_door"):
            self._door.routes, self._door.log_format = self.routes, self._log_format
            self.throttle(*self._throttling)

    def throttle(
        self,
        limits: tuple[float, float] | None,
        routes: Mapping[str, tuple[float, float]] | None = None,
        capacity: int | None = None,
    ) -> None:
        """Sets the limits of the front door. None means no limit.

        `limits` and `routes`: requests a second and burst, for all routes and by route key, as in the template.
        `capacity`: the maximum of open requests, including those that wait for a function. Further requests get 503.
        """
        self._door.throttle = Throttle(*limits) if limits else None
        self._door.throttles = {key: Throttle(*own) for key, own in (routes or {}).items()}
        self._door.capacity = capacity

    def logs(self) -> str:
        """The logs of all functions so far."""
        logs = self.boto3_client("logs")
        # Groups of the template, and groups that MiniStack created for functions without one.
        groups = {group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]}
        lines = []
        for group in sorted(groups):
            for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group):
                lines += [event["message"] for event in page["events"]]
        return "\n".join(lines)

    def access_log(self) -> str:
        """The access log of the front door so far, in the format of the template."""
        path = self.directory / "access.log"
        return path.read_text() if path.exists() else ""

    def _client(self, service: str) -> Any:
        """A boto3 client on the embedded AWS; thread-safe, as all boto3 clients are."""
        return boto3.session.Session().client(
            service,
            endpoint_url=self.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106 - MiniStack takes any
            config=Config(
                max_pool_connections=64,
                read_timeout=INTEGRATION_SECONDS if service == "lambda" else 60,
                # API Gateway does not retry an invocation that timed out.
                retries={"total_max_attempts": 1 if service == "lambda" else 3},
            ),
        )

    def _open(self, listener: socket.socket, undo: contextlib.ExitStack) -> None:
        invoke = invoker(self.boto3_client("lambda"), lambda name: self.resources[name], self._failed)
        access_log = undo.enter_context((self.directory / "access.log").open("a", buffering=1))
        write = partial(print, file=access_log)
        self._door = FrontDoor(self.routes, invoke, self._concurrency, write, self._log_format)
        self.throttle(*self._throttling)
        undo.callback(self._door.close)
        config = uvicorn.Config(
            self._door,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=5,
            ws="none",
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],), name="front-door")
        thread.start()

        def close() -> None:
            server.should_exit = True
            thread.join()

        undo.callback(close)
        while not server.started and thread.is_alive():
            time.sleep(0.005)


def _listen(port: int) -> socket.socket:
    # asyncio turns off Nagle's algorithm, which would delay every answer by 40 ms, only if the protocol is given here.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        other = port + 1 if 1024 <= port < 65535 else 8001
        why = "needs root's rights" if isinstance(error, PermissionError) else "is taken"
        raise PortTaken(f"Port {port} {why}; choose another: make run PORT={other}") from error
    return listener

"""`python -m local [--port 8000] [--state DIR]`: serves the local stack, for `make run`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace

from botocore.exceptions import ClientError

from local.announce import announced
from local.deploy import DeployError
from local.stack import PortTaken, Stack
from local.template import TemplateError


def main() -> None:
    parser = argparse.ArgumentParser(prog="make run", description=__doc__)
    parser.add_argument("--port", default="8000", help="port of the API on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--state", type=Path, help="directory that keeps the data for the next start")
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    try:
        _run(_port(arguments.port), _directory(arguments.state))
    except (PortTaken, TemplateError, DeployError, ClientError, RuntimeError) as error:
        sys.exit(str(error))


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) <= 65535):
        sys.exit(f"PORT must be a number from 0 to 65535, not {text!r}: make run PORT=8001")
    return int(text)


def _directory(state: Path | None) -> Path | None:
    if state is None:
        return None
    try:
        state.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        sys.exit(f"STATE must be a directory that can be written: {state}: {error.strerror}")
    if not os.access(state, os.W_OK | os.X_OK):
        sys.exit(f"STATE must be a directory that can be written: {state}")
    return state.resolve()


def _run(port: int, state: Path | None) -> None:
    started = time.monotonic()
    print("Starting the stack of template.yaml on an embedded AWS ...", flush=True)
    with Stack(port, state=state, failed=_failed) as stack, announced(stack):
        # Imported here, since these modules import the tillbook package: errors of the port, the template or the
        # deployment are reported even if the package cannot be imported.
        from local.play import play
        from local.reload import Reloader
        from local.seed import seed

        seed(stack)
        print(f"Ready after {time.monotonic() - started:.1f} s. Playing the examples in events/ ...", flush=True)
        try:
            play(stack)
        # The stack is served even if the examples fail: somebody may be working on it.
        except (OSError, LookupError, TypeError, ValueError) as error:
            print(f"The examples could not be played: {error!r}", file=sys.stderr)
        _state.serving = True
        print(f"""
Serving {stack.url} until Ctrl-C (open it in a browser); its AWS is {stack.endpoint_url} (log: {stack.aws.log}).
Edits of functions/, layers/ and template.yaml are deployed as you save.""")
        sys.stdout.flush()
        with Reloader(stack):
            while not _state.stop:
                time.sleep(0.2)


# Whether the stack is ready to serve, and whether it must stop.
_state = SimpleNamespace(serving=False, stop=False)


def _leave(_number: int, _frame: object) -> None:
    """Handles a signal to stop. Later signals are ignored, so that nothing interrupts the cleanup, which is quick.

    While the stack starts, the handler raises SystemExit. While it serves, the handler only sets `stop`, which the loop
    checks: if a finalizer were running, Python would print and drop an exception that the handler raises.
    """
    _state.stop = True
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    print("\nStopping ...", flush=True)
    if not _state.serving:
        sys.exit(0)


def _failed(function: str, log: str) -> None:
    print(f"\n{function} failed:\n{log.strip()}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

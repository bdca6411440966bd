"""`python -m local [--port 8000] [--state DIR]`: what `make run` runs."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from pathlib import Path

from botocore.exceptions import ClientError

from local.announce import announced
from local.deploy import DeployError
from local.stack import PortTaken, Stack
from local.template import TemplateError


def main() -> None:
    parser = argparse.ArgumentParser(prog="make run", description=__doc__)
    parser.add_argument("--port", type=int, default=8000, help="where the API is served, on 127.0.0.1")
    parser.add_argument("--state", type=Path, help="a directory to keep what is stored in over a clean restart")
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    try:
        _run(arguments.port, arguments.state.resolve() if arguments.state else None)
    except (PortTaken, TemplateError, DeployError, ClientError, RuntimeError) as error:
        sys.exit(str(error))


def _run(port: int, state: Path | None) -> None:
    started = time.monotonic()
    print("Starting the stack of template.yaml on an embedded AWS ...", flush=True)
    with Stack(port, state=state, failed=_failed) as stack, announced(stack):
        # Here, so that a mistake in the package that is worked on does not keep the stack from starting.
        from local.play import play
        from local.reload import Reloader
        from local.seed import seed

        seed(stack)
        print(f"Ready after {time.monotonic() - started:.1f} s. Playing the examples in events/ ...", flush=True)
        try:
            play(stack)
        # What is being worked on may not answer as it should, and is served all the same.
        except (OSError, LookupError, TypeError, ValueError) as error:
            print(f"The examples could not be played: {error!r}", file=sys.stderr)
        print(f"""
Serving {stack.url} until Ctrl-C (open it in a browser); its AWS is {stack.endpoint_url} (log: {stack.aws.log}).
Edits of functions/, layers/ and template.yaml are deployed as you save.""")
        sys.stdout.flush()
        with Reloader(stack):
            while not _leaving.wait(1):
                pass


# Python drops what a signal handler raises while a finalizer runs: then this ends the loop.
_leaving = threading.Event()


def _leave(_number: int, _frame: object) -> None:
    """Raises SystemExit, once: nothing may interrupt the clearing up, which is quick."""
    _leaving.set()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    print("\nStopping ...", flush=True)
    sys.exit(0)


def _failed(function: str, log: str) -> None:
    print(f"\n{function} failed:\n{log.strip()}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

"""Replaces programs that must not run in a test, since they would call AWS, or change the checkout or its environments.

The shells that run the commands of pages find a substitute for each program. The substitute sends its command line to
the test, which checks it with proofs.py.

`aws cloudformation describe-stacks` and `describe-stack-resource` get their answer from the local stack. All other
commands print nothing.
"""

from __future__ import annotations

import shlex
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jmespath

from local.deploy import STACK
from local.stack import Stack
from tests.docs import proofs

PROGRAMS = ("aws", "sam", "make", "pip", "npm", "git")
# Sends its command line to the test's process: starting a Python process for each call would take much longer.
SHIM = """#!/bin/bash
answer=$(printf '%s\\0' {program} "$@" | {curl} -s --fail-with-body --data-binary @- {url}; exit ${{PIPESTATUS[1]}})
case $? in 0) [ -z "$answer" ] || printf '%s\\n' "$answer" ;; *) printf '%s\\n' "$answer" >&2; exit 1 ;; esac
"""


def answer(words: list[str], stack: Stack) -> str:
    """Checks the command, and returns the text that it prints. Raises proofs.Unproven."""
    try:
        proofs.KINDS[proofs.BY_PROGRAM[words[0]]](words)
    except proofs.CannotAskError:  # without the program that defines the command, nothing can be checked
        return ""
    if words[:2] != ["aws", "cloudformation"]:
        return ""
    options = dict(zip(words[3::2], words[4::2], strict=False))
    client = stack.boto3_client("cloudformation")
    if words[2] == "describe-stacks":
        found = client.describe_stacks(StackName=STACK)
    elif words[2] == "describe-stack-resource":
        found = client.describe_stack_resource(StackName=STACK, LogicalResourceId=options["--logical-resource-id"])
    else:
        return ""
    value = jmespath.search(options.get("--query", "@"), found)
    while isinstance(value, list) and value:  # --output text prints a list of one entry as the entry
        value = value[0]
    if not isinstance(value, str):
        raise proofs.Unproven(f"`{shlex.join(words)}` finds nothing")
    # The gateway does not exist on this machine: the front door answers instead.
    return stack.url if ".execute-api." in value else value


@contextmanager
def listening(stack: Stack, refused: list[str]) -> Iterator[str]:
    """Answers the substitutes, and yields the URL that they call. `refused` gets the error of each call that failed."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            words = self.rfile.read(int(self.headers["content-length"])).decode().split("\0")[:-1]
            try:
                status, text = 200, answer(words, stack)
            except Exception as error:  # any error makes the page's command fail
                status, text = 500, str(error)
                refused.append(text)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()

"""The options of commands that use the API over HTTPS, and a client that reuses its connections."""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from time import sleep
from typing import Any
from urllib.parse import quote, urlencode

import click
import urllib3
from click.core import ParameterSource

from tillbook.rules.errors import Malformed
from tillbook.rules.json_text import dumps, loads

from .connection import LOCAL_KEY, Unreachable, local_stack
from .output import REFUSED, UNREACHABLE, fail

_READ_SECONDS = 40.0  # API Gateway answers within 30 s
_PAGE = 200  # the most entries that one request asks for
_KEY = re.compile(r"[\x21-\x7e]+")  # the characters that a header may contain
TEMPORARY = frozenset({408, 425, 429, 500, 502, 503, 504})  # statuses after which a retry may succeed
_PAUSES = (0.5, 1.0, 2.0, 4.0)  # seconds between the tries of a request that only reads
_LONGEST_PAUSE = 30.0  # seconds, whatever Retry-After says


class Refused(Exception):
    """The API refused a request; the message says why."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes

    def json(self) -> Any:
        """The body's JSON; None if the body is not JSON, which means that a gateway or a proxy answered."""
        try:
            # `ours`: an answer that contains an order may be nested deeper than the order, whose depth is limited.
            return loads(self.body, ours=True)
        except (Malformed, RecursionError):
            return None


@dataclass(frozen=True)
class Api:
    """A client of one stack's API, with a key."""

    url: str
    key: str = field(repr=False)
    as_json: bool = False
    _pool: urllib3.PoolManager = field(
        default_factory=lambda: urllib3.PoolManager(
            maxsize=64, timeout=urllib3.Timeout(connect=10, read=_READ_SECONDS)
        ),
        repr=False,
    )

    def send(self, method: str, path: str, body: bytes | None = None) -> Answer:
        """Sends a request once. Raises Unreachable if there is no answer."""
        headers = {"authorization": f"Bearer {self.key}", "user-agent": "tillbook"}
        if body is not None:
            headers["content-type"] = "application/json"
        try:
            answer = self._pool.request(
                method, self.url.rstrip("/") + path, body=body, headers=headers, retries=False, redirect=False
            )
        except urllib3.exceptions.HTTPError as error:
            # The text of the error is not shown: it quotes the path, which may hold an e-mail address.
            raise Unreachable(f"{self.url} does not answer ({type(error).__name__}).") from None
        return Answer(answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.data)

    def get(self, path: str, **query: str | int | None) -> Any:
        return self.call("GET", path, **query)

    def call(self, method: str, path: str, payload: Any = None, **query: str | int | None) -> Any:
        """Sends a request, and returns the JSON of the answer. Raises Refused, Unreachable."""
        answer = self.request(method, path, payload, **query)
        found = answer.json()
        if found is None:
            raise self.not_tillbook()
        return found

    def part(self, found: Any, name: str, kind: type) -> Any:
        """The part `name` of an answer. Raises Refused if it is no `kind`: then another service answers at the URL."""
        part = found.get(name) if isinstance(found, dict) else None
        if not isinstance(part, kind):
            raise self.not_tillbook()
        return part

    def not_tillbook(self) -> Refused:
        return Refused(f"{self.url} does not answer like Tillbook. Check the URL.")

    def request(self, method: str, path: str, payload: Any = None, **query: str | int | None) -> Answer:
        """Sends a request; GETs are retried. Raises Refused, Unreachable."""
        # A space is encoded as %20: some proxies do not decode the "+" that HTML forms use.
        given = urlencode({name: value for name, value in query.items() if value is not None}, quote_via=quote)
        body = None if payload is None else dumps(payload).encode()
        whole = f"{path}?{given}" if given else path
        answer = self._read(whole) if method == "GET" else self.send(method, whole, body)
        return self._accepted(answer)

    def match(self, audience: str, question: dict[str, Any]) -> list[Any]:
        """The results of a match. A match writes nothing, so it is retried like a GET. Raises Refused, Unreachable."""
        path = f"/v1/audience/{segment(audience)}/match"
        answer = self._accepted(self._read(path, "POST", dumps(question).encode()))
        results: list[Any] = self.part(answer.json(), "results", list)
        return results

    @staticmethod
    def _accepted(answer: Answer) -> Answer:
        if not 200 <= answer.status < 300:
            raise Refused(refusal(answer), answer.status)
        return answer

    def _read(self, path: str, method: str = "GET", body: bytes | None = None) -> Answer:
        """Repeats a request while it has no answer or a TEMPORARY status. Raises Unreachable after the last try."""
        for pause in (*_PAUSES, None):
            wait = 0.0
            try:
                answer = self.send(method, path, body)
                if answer.status not in TEMPORARY:
                    return answer
                problem = refusal(answer)
                wait = retry_after(answer.headers.get("retry-after"))
            except Unreachable as error:
                problem = str(error)
            if pause is not None:
                sleep(min(max(wait, pause), _LONGEST_PAUSE))
        raise Unreachable(f"{problem} It was tried {len(_PAUSES) + 1} times.")

    def pages(self, path: str, name: str, most: int, /, **query: str | None) -> Iterator[Any]:
        """Yields the first `most` entries of the list `name`, page by page."""
        cursor: str | None = None
        while most > 0:
            found = self.get(path, limit=min(most, _PAGE), cursor=cursor, **query)
            listed = self.part(found, name, list)
            yield from listed[:most]
            most -= len(listed)
            cursor = found.get("next_cursor")
            if cursor is None:
                return

    def account(self) -> str:
        """The account of the key. Raises Refused if the key is not an admin key."""
        return str(self.part(self.get("/v1/account"), "account_id", str))


def segment(text: str) -> str:
    """One segment of a path, with every reserved character percent-encoded."""
    return quote(text, safe="")


def retry_after(text: str | None) -> float:
    """The seconds to wait by a Retry-After header, which has a number or a date; 0 for any other text."""
    if not text:
        return 0.0
    if text.strip().isascii() and text.strip().isdecimal():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0


def refusal(answer: Answer) -> str:
    """The message of an error answer of either API, or of the gateway."""
    if answer.status in (401, 403):
        return "The key is unknown, revoked, of another account, or its role does not allow this."
    found = answer.json()
    if isinstance(found, dict):
        if isinstance(found.get("error"), dict):
            return str(found["error"].get("message"))
        if isinstance(found.get("errors"), list) and found["errors"]:
            entries = [entry for entry in found["errors"][:5] if isinstance(entry, dict)]
            return "; ".join(str(entry.get("message")) for entry in entries) or f"The API answered {answer.status}."
        if "message" in found:
            return f"The gateway answered {answer.status}: {found['message']}."
    return f"The API answered {answer.status}."


Command = Callable[..., None]

_options = (
    click.option("--url", envvar="TILLBOOK_URL", show_envvar=True, help="URL of the API: the stack's output ApiUrl."),
    click.option("--key", envvar="TILLBOOK_KEY", show_envvar=True, help="An API key with the role admin."),
    click.option("--local", is_flag=True, help="Use the stack that make run runs in this project, with its admin key."),
    click.option("--json", "as_json", is_flag=True, help="Print JSON."),
)


def api_options(command: Command) -> Command:
    """Adds the options of every command that uses the API."""
    for option in reversed(_options):
        command = option(command)
    return command


def connected(url: str | None, key: str | None, local: bool, as_json: bool) -> Api:
    """The API that the options name. Raises Unreachable, click.UsageError."""
    if local:
        found = local_stack()
        # A key from TILLBOOK_KEY belongs to another stack, and must not be sent to this one.
        typed = click.get_current_context().get_parameter_source("key") is ParameterSource.COMMANDLINE
        url, key = found.get("url"), key if typed else LOCAL_KEY
    # A value from a file or the clipboard may end with a line break.
    url, key = (url or "").strip(), (key or "").strip()
    if not url or not key:
        raise click.UsageError(
            "Give --url and --key (or TILLBOOK_URL and TILLBOOK_KEY), or --local for the stack that make run runs."
        )
    if not url.startswith(("http://", "https://")):
        raise click.UsageError("--url must start with https:// (or http:// for a local stack).")
    if not _KEY.fullmatch(key):
        raise click.UsageError("The key has characters that no key has: copy it again.")
    return Api(url, key, as_json)


def over_https(command: Command) -> Command:
    """Adds the API's options to a command, passes it an Api, and reports errors."""

    @api_options
    @functools.wraps(command)
    def call(*, url: str | None, key: str | None, local: bool, as_json: bool, **arguments: Any) -> None:
        with reported(as_json):
            command(connected(url, key, local, as_json), **arguments)

    return call


class reported:  # noqa: N801 - used like a function
    """Ends the command with a message and an exit code if the API refuses or does not answer."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, Refused):
            fail(str(error), REFUSED, self._as_json)
        if isinstance(error, Unreachable):
            fail(str(error), UNREACHABLE, self._as_json)

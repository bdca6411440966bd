"""Configuration by admins: the account's settings, API keys and connections.

A secret that Tillbook generates is shown once, in the answer to the request that sets it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from tillbook.aws import clients
from tillbook.aws.secrets import Secrets
from tillbook.aws.settings import settings
from tillbook.contract import management
from tillbook.contract.validation import Context, validated
from tillbook.records.accounts import Accounts, shown
from tillbook.records.connections import Connections
from tillbook.records.keys import ApiKey, Keys
from tillbook.records.outcomes import Outcomes
from tillbook.rules.errors import Conflict
from tillbook.rules.json_text import Json
from tillbook.views.connecting import ConnectionViews
from tillbook.web.answers import Response
from tillbook.web.request import Request


def answer(request: Request) -> Response:
    """Answers a request. Raises a Problem (rules.errors) if it is refused."""
    return _ROUTES[request.route](request)


@cache
def _keys() -> Keys:
    return Keys(clients.dynamodb(), settings().records_table)


@cache
def _connections() -> Connections:
    env = settings()
    return Connections(clients.dynamodb(), env.records_table, Secrets(clients.ssm(), env.stack_name))


def _body(request: Request) -> Json:
    """The JSON body of a request; an empty object if it has none."""
    return request.json() if request.event.body else {}


# -------------------------------------------------------------- account


def _change_account(request: Request) -> Response:
    change = management.account_change(request.json())
    accounts = Accounts(clients.dynamodb(), settings().records_table)
    return Response(200, shown(accounts.change(request.account, change)) | {"key": request.key.shown()})


# ----------------------------------------------------------------- keys


def _list_keys(request: Request) -> Response:
    found = [_shown_key(key, request) for key in _keys().of(request.account)]
    return Response(200, {"keys": found, "next_cursor": None})


def _create_key(request: Request) -> Response:
    asked = management.new_key(request.json())
    key, secret = _keys().create(request.account, asked.role, asked.label or "", created_by=request.key.id)
    return Response(201, _shown_key(key, request) | {"secret": secret})


def _revoke_key(request: Request) -> Response:
    """Revokes a key. The key of the request itself needs a confirmation, since it may be the last admin key."""
    key_id = request.id_in_path("key_id")
    if key_id == request.key.id:
        asked = validated(management.KeyConfirmation, _body(request), Context([]))
        if key_id not in (asked.confirm, request.header("x-confirm")):
            raise Conflict(
                "This request uses the key that it revokes. To confirm, send the key's id as confirm, or in the header "
                "X-Confirm."
            )
    return Response(200, _shown_key(_keys().revoke(request.account, key_id), request))


def _shown_key(key: ApiKey, request: Request) -> Json:
    return {
        "id": key.id,
        "label": key.label or None,
        "role": key.role,
        "created_at": key.created,
        "last_used": key.used or None,
        "revoked": key.revoked,
        "created_by": key.created_by or None,
        "current": key.id == request.key.id,
    }


# ---------------------------------------------------------- connections


def _views(request: Request) -> ConnectionViews:
    path = request.event.raw_path
    base = path[: path.index("/v1/connections")]  # the base path of a custom domain, if any
    host, scheme = request.header("host") or "", request.header("x-forwarded-proto") or "https"
    outcomes = Outcomes(clients.dynamodb(), settings().records_table)
    return ConnectionViews(_connections(), outcomes, f"{scheme}://{host}{base}")


def _list_connections(request: Request) -> Response:
    return Response(200, {"connections": _views(request).all(request.account), "next_cursor": None})


def _get_connection(request: Request) -> Response:
    return Response(200, _views(request).one(_connections().get(request.account, _name(request))))


def _create_connection(request: Request) -> Response:
    asked = management.new_connection(request.json())
    made = _connections().create(
        request.account, asked.name or asked.platform, asked.platform, asked.provider or "", asked.secret or ""
    )
    return Response(201, _views(request).with_secret(*made))


def _rotate_secret(request: Request) -> Response:
    known = _connections().get(request.account, _name(request))
    asked = management.new_secret(known.platform, _body(request))
    made = _connections().rotate(known, asked.secret or "", asked.overlap_hours)
    return Response(200, _views(request).with_secret(*made))


def _remove_connection(request: Request) -> Response:
    views = _views(request)
    known = _connections().get(request.account, _name(request))
    removed = views.one(known)
    _connections().remove(request.account, known.name)
    return Response(200, removed)


def _name(request: Request) -> str:
    return request.id_in_path("connection")


_ROUTES: dict[str, Callable[[Request], Response]] = {
    "PATCH /v1/account": _change_account,
    "GET /v1/keys": _list_keys,
    "POST /v1/keys": _create_key,
    "DELETE /v1/keys/{key_id}": _revoke_key,
    "GET /v1/connections": _list_connections,
    "POST /v1/connections": _create_connection,
    "GET /v1/connections/{connection}": _get_connection,
    "POST /v1/connections/{connection}/rotate": _rotate_secret,
    "DELETE /v1/connections/{connection}": _remove_connection,
}

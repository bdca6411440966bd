"""Makes moto fast enough for two thousand tests. `test_shortcuts.py` compares it with unpatched moto.

The patches save work and leave moto's rules unchanged. Unpatched, each call is a signed HTTP request that is built
and parsed within the process, a transaction copies the whole table once for each of its writes, a query sorts the whole
table, and each update expression is parsed again.
"""

from __future__ import annotations

import base64
import copy
import functools
import inspect
import json
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.model import OperationModel
from botocore.parsers import create_parser
from moto.core import DEFAULT_ACCOUNT_ID, responses
from moto.core.responses import ActionResult, BaseResponse
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import Item
from moto.dynamodb.models.table import Table
from moto.dynamodb.parsing.ast_nodes import DepthFirstTraverser
from moto.dynamodb.parsing.expressions import UpdateExpressionParser
from moto.dynamodb.responses import DynamoHandler
from moto.sqs import models
from moto.sqs.responses import SQSResponse

DYNAMODB = (
    "GetItem", "BatchGetItem", "TransactGetItems", "Query", "Scan",
    "PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems",
)  # fmt: skip
SQS = ("SendMessage", "SendMessageBatch", "ReceiveMessage", "DeleteMessage")
_PURE = (  # functions whose results can be cached
    (responses, "camelcase_to_underscores"),
    (responses, "method_names_from_class"),
    (models, "camelcase_to_underscores"),
)
_PARSER = create_parser("json")


def apply(patch: Any) -> None:
    """Patches moto until `patch` is undone. The HTTP requests of a client are avoided by `call_directly`."""
    for module, name in _PURE:
        patch.setattr(module, name, functools.cache(getattr(module, name)))
    # Both results can be shared: moto copies a parsed expression before a change, and asks a traverser for the same
    # list at each node.
    patch.setattr(UpdateExpressionParser, "make", staticmethod(functools.cache(UpdateExpressionParser.make)))
    original = DepthFirstTraverser.nodes_to_be_processed
    patch.setattr(DepthFirstTraverser, "nodes_to_be_processed", functools.lru_cache(maxsize=1)(original))
    patch.setattr(Table, "__deepcopy__", _snapshot, raising=False)
    patch.setattr(Table, "query", _query_of_one_key(Table.query))
    patch.setattr(DynamoDBBackend, "update_item", _update_of_a_copy(DynamoDBBackend.update_item))


def remove(patch: Any) -> None:
    """Restores the unpatched moto until `patch` is undone."""
    patch.delattr(Table, "__deepcopy__")
    for owner, name in (
        *_PURE,
        (UpdateExpressionParser, "make"),
        (DepthFirstTraverser, "nodes_to_be_processed"),
        (Table, "query"),
        (DynamoDBBackend, "update_item"),
    ):
        patch.setattr(owner, name, getattr(owner, name).__wrapped__)


# ------------------------------------------------------------------------- calls


def call_directly(client: Any) -> None:
    """Passes the client's calls for items and messages to moto's handlers without HTTP."""
    events = client.meta.events
    for service, operations, handler in (("dynamodb", DYNAMODB, _Items), ("sqs", SQS, _Messages)):
        for operation in operations:
            events.register_first(f"before-call.{service}.{operation}", functools.partial(_answer, handler))


class _Direct(BaseResponse):
    """Encodes an answer at once. Moto looks for each member of its shape under several names."""

    def serialized(self, action_result: ActionResult) -> Any:
        if isinstance(action_result.result, Exception):
            return super().serialized(action_result)
        return 200, self.response_headers, json.dumps(action_result.result or {}, default=_base64)

    @staticmethod
    def _enrich_response(headers: dict[str, str], body: Any) -> tuple[dict[str, str], Any]:
        """Does not add a request id."""
        return headers, body


class _Items(_Direct, DynamoHandler):
    pass


class _Messages(_Direct, SQSResponse):
    pass


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _answer(
    kind: type[_Direct], model: OperationModel, params: dict[str, Any], **_: Any
) -> tuple[AWSResponse, dict[str, Any]]:
    """The answer that botocore would parse from moto's response to a request."""
    handler, headers = kind(), params["headers"]
    handler.headers, handler.querystring, handler.response_headers = headers, {}, {}
    handler.current_account, handler.region = DEFAULT_ACCOUNT_ID, params["context"]["client_region"]
    handler.uri_match = {}
    request: Any = SimpleNamespace(
        method="POST", values={}, headers=headers, data=params["body"], path="/", content_type=headers["Content-Type"]
    )
    handler.parse_parameters(request)
    handler.body = handler.params
    status, headers, body = BaseResponse.call_action(handler)
    response = {"status_code": status, "headers": headers, "body": body.encode()}
    output: Any = model.output_shape  # None if an operation returns nothing
    parsed = _PARSER.parse(response, output)
    if status >= 300:
        shape = model.service_model.shape_for_error_code(parsed["Error"]["Code"])
        if shape is not None:
            parsed |= _PARSER.parse(response, shape)
    return AWSResponse(params["url"], status, headers, None), parsed


# ------------------------------------------------------------------------ tables


def _snapshot(table: Table, _memo: dict[int, Any]) -> Table:
    """The copy of a table that moto restores when a transaction is refused. It shares the items, since none is changed
    in place."""
    snapshot = copy.copy(table)
    snapshot.items = defaultdict(dict, {pk: dict(items) for pk, items in table.items.items()})
    return snapshot


def _update_of_a_copy(update: Any) -> Any:
    """Makes an update change a copy of the item. Moto changes the item in place, which would change a snapshot too."""

    @functools.wraps(update)
    def update_item(self: DynamoDBBackend, table_name: str, key: dict[str, Any], *rest: Any, **more: Any) -> Item:
        table = self.get_table(table_name)
        pk, sk = self.get_keys_value(table, key)
        if sk in table.items.get(pk, {}):
            table.items[pk][sk] = copy.deepcopy(table.items[pk][sk])
        return update(self, table_name, key, *rest, **more)

    return update_item


def _query_of_one_key(query: Any) -> Any:
    """Passes a query a table that has only the items with its hash key, since moto sorts all items before it selects
    these."""
    signature = inspect.signature(query)

    @functools.wraps(query)
    def query_part(table: Table, *arguments: Any, **more: Any) -> Any:
        asked = signature.bind(table, *arguments, **more).arguments
        hash_key, index_name = asked["hash_key"], asked.get("index_name")
        part = copy.copy(table)
        part.items = defaultdict(dict)
        if index_name is None:
            part.items[hash_key] = table.items.get(hash_key, {})
        else:
            name = next(key["AttributeName"] for key in table.get_index(index_name).schema if key["KeyType"] == "HASH")
            for pk, items in table.items.items():
                found = {sk: item for sk, item in items.items() if name in item.attrs and item.attrs[name] == hash_key}
                if found:
                    part.items[pk] = found
        return query(part, *arguments, **more)

    return query_part

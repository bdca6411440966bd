"""A ledger table on an engine of DynamoDB: the one at DYNAMODB_ENDPOINT, else MiniStack in a separate process."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from local import template
from local.embedded_aws import EmbeddedAws
from local.stack import ROOT

ENDPOINT = "DYNAMODB_ENDPOINT"
# Properties of the table in template.yaml that are set here.
_PROPERTIES = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")


@dataclass(frozen=True)
class Engine:
    """An engine with an empty ledger table. `client` serves as many threads at once as it has connections."""

    name: str
    client: Any
    table: str


@contextmanager
def engine(connections: int = 64) -> Iterator[Engine]:
    """Creates the ledger table of template.yaml on an engine, and deletes it afterwards."""
    with ExitStack() as undo:
        endpoint = os.environ.get(ENDPOINT)
        name = endpoint or "MiniStack"
        if not endpoint:
            directory = undo.enter_context(tempfile.TemporaryDirectory(prefix="tillbook-"))
            aws = EmbeddedAws(Path(directory))
            undo.callback(aws.stop)
            aws.start()
            endpoint = aws.endpoint_url
        client = _client(endpoint, connections)
        table = f"tillbook-{uuid.uuid4().hex[:12]}"
        properties = template.load(ROOT / "template.yaml")["Resources"]["LedgerTable"]["Properties"]
        client.create_table(TableName=table, **{k: properties[k] for k in _PROPERTIES if k in properties})
        undo.callback(client.delete_table, TableName=table)
        client.get_waiter("table_exists").wait(TableName=table, WaiterConfig={"Delay": 1})
        yield Engine(name, client, table)


def _client(endpoint: str, connections: int) -> Any:
    # AWS needs the credentials of the caller; a local engine accepts any.
    keys: dict[str, Any] = (
        {} if ".amazonaws.com" in endpoint else {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    )
    return boto3.session.Session().client(
        "dynamodb", endpoint_url=endpoint, region_name=os.environ.get("AWS_DEFAULT_REGION", "us-east-1"),
        # The settings of the functions, but with longer time-outs, because this machine may be busy.
        config=Config(
            connect_timeout=5, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 2},
            max_pool_connections=connections, parameter_validation=False,
        ),
        **keys,
    )  # fmt: skip

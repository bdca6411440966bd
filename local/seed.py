"""Creates the account, the keys and the connection of the local stack. They exist nowhere else."""

from __future__ import annotations

import sys
from contextlib import suppress

from local.deploy import STACK
from local.stack import ROOT, Stack

# The package of the layer, which functions find under /opt/python.
sys.path.append(str(ROOT / "layers" / "shared"))

from tillbook.aws.secrets import Secrets
from tillbook.records.accounts import Account, Accounts
from tillbook.records.connections import Connections
from tillbook.records.keys import Keys
from tillbook.rules.errors import Conflict

ACCOUNT = "1234567"
INGEST_KEY = "local-ingest-key"
ADMIN_KEY = "local-admin-key"
SHOPIFY_SIGNING_KEY = "local-shopify-signing-key"


def seed(stack: Stack) -> None:
    """Creates account, keys and connection, also on a stack that loaded a snapshot.

    Keys are written again; the account and the connection are written only if they are missing.
    """
    client, table = stack.boto3_client("dynamodb"), stack.outputs["RecordsTableName"]
    with suppress(Conflict):
        Accounts(client, table).create(Account(ACCOUNT))
    keys = Keys(client, table)
    keys.create(ACCOUNT, "ingest", "local", secret=INGEST_KEY)
    keys.create(ACCOUNT, "admin", "local", secret=ADMIN_KEY)
    connections = Connections(client, table, Secrets(stack.boto3_client("ssm"), STACK))
    with suppress(Conflict):
        connections.create(ACCOUNT, "shopify", "shopify", entered=SHOPIFY_SIGNING_KEY)

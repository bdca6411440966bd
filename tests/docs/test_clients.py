"""Runs the lines of docs/how-to/point-a-client.md in the clients that can run here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from events.envelopes import HOST
from local.stack import ROOT, Stack
from tests.clients.test_drip_nodejs import FOLDER, INSTALLED
from tests.docs.markdown import blocks
from tests.end_to_end.shop import Shop

PAGE = ROOT / "docs" / "how-to" / "point-a-client.md"
LINES = {block.language: block.text for block in blocks(PAGE)}
PYTHON = """
import sys, types
# The client's version of requests-toolbelt imports this module, which urllib3 2 does not have.
sys.modules["urllib3.contrib.appengine"] = types.ModuleType("appengine")
{lines}
client = drip.Client("{key}", {account})
print(client.order("my_shop", "{email}", "placed", "1", grand_total=5))
"""
NODE = """
{lines}
const client = require('drip-nodejs')({{ token: '{key}', accountId: {account} }});
client.createUpdateOrderActivity({{ provider: 'my_shop', email: '{email}', action: 'placed', order_id: '1', grand_total: 5 }})
  .then((answer) => console.log(answer.data.request_id));
"""  # noqa: E501


def _check_an_order_counts(shop: Shop, script: str, command: list[str], lines: str) -> None:
    email = shop.email("pointed")
    lines = lines.replace(f"https://{HOST}", shop.stack.url)
    source = script.format(lines=lines, key=shop.ingest_key, account=shop.account, email=email)
    environment = os.environ | {"NODE_PATH": str(FOLDER / "node_modules")}
    ran = subprocess.run([*command, source], capture_output=True, text=True, check=False, env=environment, timeout=240)
    assert ran.returncode == 0, ran.stderr
    assert shop.outcome(ran.stdout.strip())["status"] == "applied"
    assert shop.ltv(email) == {"USD": "5.00"}


@pytest.fixture
def shop(stack: Stack) -> Shop:
    return Shop.open(stack)


@pytest.mark.stack
def test_an_order_of_drip_python_counts(shop: Shop) -> None:
    _check_an_order_counts(shop, PYTHON, [sys.executable, "-c"], LINES["python"])


@pytest.mark.stack
@pytest.mark.node
@pytest.mark.skipif(not INSTALLED.exists() or not shutil.which("node"), reason="drip-nodejs is not installed here")
def test_an_order_of_drip_nodejs_counts(shop: Shop) -> None:
    _check_an_order_counts(shop, NODE, ["node", "-e"], LINES["js"])

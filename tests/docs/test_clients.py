"""The lines of docs/how-to/point-a-client.md, in the clients that can run here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from events.envelopes import HOST
from local.stack import ROOT
from tests.clients.test_drip_nodejs import FOLDER, INSTALLED
from tests.docs.markdown import blocks
from tests.end_to_end.shop import Shop

PAGE = ROOT / "docs" / "how-to" / "point-a-client.md"
LINES = {block.language: block.text for block in blocks(PAGE)}
PYTHON = """
import sys, types
# requests-toolbelt of this version looks for it; urllib3 2 has it no more.
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


def _sent(shop: Shop, script: str, command: list[str], lines: str) -> None:
    email = shop.email("pointed")
    lines = lines.replace(f"https://{HOST}", shop.stack.url)
    source = script.format(lines=lines, key=shop.ingest_key, account=shop.account, email=email)
    environment = os.environ | {"NODE_PATH": str(FOLDER / "node_modules")}
    ran = subprocess.run([*command, source], capture_output=True, text=True, check=False, env=environment, timeout=240)
    assert ran.returncode == 0, ran.stderr
    assert shop.outcome(ran.stdout.strip())["status"] == "applied"
    assert shop.ltv(email) == {"USD": "5.00"}


@pytest.fixture
def shop(stack) -> Shop:  # type: ignore[no-untyped-def]
    return Shop.open(stack)


@pytest.mark.stack
def test_drip_python(shop: Shop) -> None:
    _sent(shop, PYTHON, [sys.executable, "-c"], LINES["python"])


@pytest.mark.stack
@pytest.mark.node
@pytest.mark.skipif(not INSTALLED.exists() or not shutil.which("node"), reason="drip-nodejs is not installed here")
def test_drip_nodejs(shop: Shop) -> None:
    _sent(shop, NODE, ["node", "-e"], LINES["js"])

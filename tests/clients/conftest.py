"""Opens a new account for each test of a client library, and lets drip-python be imported."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from local.stack import Stack
from tests.end_to_end.shop import Shop

# drip-python pins a requests-toolbelt that imports this module, which urllib3 2 does not have. The module is used on
# Google App Engine only.
sys.modules.setdefault("urllib3.contrib.appengine", ModuleType("urllib3.contrib.appengine"))


@pytest.fixture
def shop(stack: Stack) -> Shop:
    return Shop.open(stack)

from __future__ import annotations

from tests.handlers.conftest import _aws, faults, shop

__all__ = ["_aws", "faults", "shop"]

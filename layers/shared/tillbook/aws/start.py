"""Shortens cold starts, by unusual techniques. `make bench` compares cold starts with those of plain boto3.

`PLAIN_START=1` in the environment switches all of them off.
"""

from __future__ import annotations

import gc
import os
import re
from typing import Any

PLAIN = os.environ.get("PLAIN_START") == "1"
_ON_LAMBDA = "AWS_LAMBDA_FUNCTION_NAME" in os.environ  # set by Lambda itself

# The services that are used. Without this list botocore would search its 400 folders for each client.
_SERVICES = ["dynamodb", "events", "sqs", "ssm"]
# The part of botocore's endpoints.json that is needed. Host names are derived from each service's endpoint rules, so
# the other 1.2 MB of that file change nothing for these services. `_COMMERCIAL` matches the regions of its partition.
_COMMERCIAL = r"^(us|eu|ap|sa|ca|me|af|il|mx)\-\w+\-\d+$"
_ENDPOINTS: dict[str, Any] = {
    "version": 3,
    "partitions": [
        {
            "partition": "aws", "partitionName": "AWS Standard", "dnsSuffix": "amazonaws.com",
            "regionRegex": _COMMERCIAL, "regions": {}, "services": {},
            "defaults": {
                "hostname": "{service}.{region}.{dnsSuffix}", "protocols": ["https"], "signatureVersions": ["v4"],
                "variants": [],
            },
        }
    ],
}  # fmt: skip


def begin() -> None:
    """Stops garbage collection on Lambda until the first answer, since imports create almost no garbage."""
    if _ON_LAMBDA and not PLAIN:
        gc.disable()


def done() -> None:
    """Starts garbage collection after the first answer. Objects that exist by then are permanent, so it skips them."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def trim(session: Any) -> None:
    """Makes a botocore session skip the search for services and endpoints that are not used."""
    region = session.get_config_variable("region")
    if PLAIN or not re.match(_COMMERCIAL, region or ""):
        return
    from botocore.loaders import Loader

    class Trimmed(Loader):
        def list_available_services(self, type_name: str) -> list[str]:
            return _SERVICES

        def load_data_with_path(self, name: str) -> Any:
            return (_ENDPOINTS, "") if name == "endpoints" else super().load_data_with_path(name)

    paths = session.get_component("data_loader").search_paths
    session.register_component("data_loader", Trimmed(paths, include_default_search_paths=False))

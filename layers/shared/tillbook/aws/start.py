"""What makes a function start sooner. Each part of it is unusual; `make bench` compares the whole with bare boto3.

`PLAIN_START=1` in the environment switches all of it off.
"""

from __future__ import annotations

import gc
import os
import re
from typing import Any

PLAIN = os.environ.get("PLAIN_START") == "1"
_ON_LAMBDA = "AWS_LAMBDA_FUNCTION_NAME" in os.environ  # set by Lambda itself

# The services that are called, so that botocore need not look into 400 folders for one of them.
_SERVICES = ["dynamodb", "sqs"]
# What botocore wants to know of a partition. Hosts come from each service's own rules, which are read as always;
# the 1.2 MB of endpoints.json tell it nothing more of these two.
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
    """No collection of garbage while modules are imported: next to nothing of what they make is garbage."""
    if _ON_LAMBDA and not PLAIN:
        gc.disable()


def done() -> None:
    """After the first answer: what stands now stays for good, and need not be looked through again."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def trim(session: Any) -> None:
    """Takes from a botocore session the search for services and endpoints that are not used here."""
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

"""A Lambda function that only makes a scene's AWS calls with boto3. Tillbook's functions are compared with it."""

from __future__ import annotations

import os
import pickle
from typing import Any

import boto3

with open(os.environ["BENCH_SCENE"], "rb") as file:  # noqa: PTH123 - importing pathlib costs time
    _CALLS = pickle.load(file)["calls"]  # noqa: S301 - written by the bench itself a moment ago
_CLIENTS = {service: boto3.client(service) for service in dict.fromkeys(service for service, _, _ in _CALLS)}


def handler(_event: dict[str, Any], _context: Any) -> dict[str, Any]:
    for service, operation, parameters in _CALLS:
        getattr(_CLIENTS[service], operation)(**parameters)
    return {"statusCode": 200}

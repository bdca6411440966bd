"""Measures the cost of imports in a fresh process that makes one DynamoDB client, as a ratio to bare boto3's submit.

Rows do not add up: each part of Powertools is imported alone, so each row includes what the parts share. The garbage
collector is off, because a collection would add to a random row.
"""

from __future__ import annotations

import re
import sys
from importlib.util import find_spec
from typing import Any

from bench import cold
from bench.meter import Meter, Process

_BOTOCORE = "import botocore.session\nbotocore.session.Session().create_client('dynamodb')\n"
_BOTO3 = "import boto3\nboto3.client('dynamodb')\n"
_PYDANTIC = f"{_BOTO3}from pydantic import BaseModel, Field, ValidationError\n"
_RULES = "import tillbook.ledger.ledger, tillbook.contract.document\n"
_POWERTOOLS = f"{_BOTO3}from aws_lambda_powertools"
# Name, the program without it, the program with it. A row costs the difference.
ROWS = (
    ("boto3's session over botocore's", _BOTOCORE, _BOTO3),
    ("pydantic", _BOTO3, _PYDANTIC),
    ("Powertools: Logger and Metrics", _BOTO3, f"{_POWERTOOLS} import Logger, Metrics\n"),
    ("Powertools: data classes", _BOTO3, f"{_POWERTOOLS}.utilities.data_classes import APIGatewayProxyEvent\n"),
    ("Powertools: batch", _BOTO3, f"{_POWERTOOLS}.utilities.batch import BatchProcessor\n"),
    ("Powertools: HTTP resolver", _BOTO3, f"{_POWERTOOLS}.event_handler import APIGatewayRestResolver\n"),
    ("models of the Orders API", f"{_PYDANTIC}{_RULES}", f"{_PYDANTIC}{_RULES}import tillbook.contract.orders_api\n"),
    (
        "models of Order Activity",
        f"{_PYDANTIC}{_RULES}",
        f"{_PYDANTIC}{_RULES}import tillbook.contract.shopper_activity\n",
    ),
    ("Powertools: parser, with pydantic", _BOTO3, f"{_POWERTOOLS}.utilities.parser import parse\nimport pydantic\n"),
)
_BEGIN = "import gc\ngc.disable()\n"
_END = "from bench.canned import leave\nleave()\n"


def measured(meter: Meter) -> dict[str, Any]:
    """`ratio`, and `cost` in the meter's unit, by row; or "not installed"."""
    scene = cold.write(meter, "submit", cold.played()["submit"])
    bare, none = cold.source(scene, "bench.bare"), cold.source(scene, "none")
    rows = {name: (_process(without), _process(with_)) for name, without, with_ in ROWS if _installed(with_)}
    costs = meter.costs([bare, none, *(process for row in rows.values() for process in row)])
    found: dict[str, Any] = {name: "not installed" for name, _, _ in ROWS}
    for name, (without, with_) in rows.items():
        cost = costs[with_] - costs[without]
        found[name] = {"ratio": round(cost / (costs[bare] - costs[none]), 3), "cost": round(cost, 1)}
    return found


def _process(program: str) -> Process:
    return Process((sys.executable, "-c", _BEGIN + program + _END), (cold.SHARED,))


def _installed(program: str) -> bool:
    return all(map(find_spec, re.findall(r"^(?:from|import) (\w+)", program, re.MULTILINE)))

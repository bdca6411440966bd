"""The template as CloudFormation gets it: template.yaml after its SAM transform, parameters and conditions resolved.

A reference to another resource is kept as text: `${LedgerTable}`, `${LedgerTable.Arn}`.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import boto3
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

from local.stack import ROOT
from local.template import CODE

Properties = dict[str, Any]
# Values of the parameters that add optional resources.
SWITCHED_ON = {
    "Announcements": "event-bus", "MonthlyBudget": "50", "BudgetEmail": "ops@example.org", "SurgeOfRequests": "3000",
}  # fmt: skip


@dataclass(frozen=True)
class Deployed:
    """A stage of the template. `resources` are its transformed and resolved resources by logical id."""

    stage: str
    resources: dict[str, dict[str, Any]]

    def of(self, kind: str) -> Iterator[tuple[str, Properties]]:
        """Logical id and properties of each resource of a type, such as `DynamoDB::Table`."""
        for name, resource in self.resources.items():
            if resource["Type"] == f"AWS::{kind}":
                yield name, resource.get("Properties", {})

    def functions(self) -> dict[str, Properties]:
        return dict(self.of("Lambda::Function"))


@cache
def _source() -> dict[str, Any]:
    source: dict[str, Any] = yaml_parse((ROOT / "template.yaml").read_text())
    return source


def source() -> dict[str, Any]:
    """A copy of the template as it is written, which the caller may change."""
    return copy.deepcopy(_source())


def translated_of(template: dict[str, Any]) -> dict[str, Any]:
    """The template after its SAM transform, with parameters and conditions unresolved. Changes `template`."""
    for resource in template["Resources"].values():
        if resource["Type"] in CODE:  # as `sam package` leaves it
            name = CODE[resource["Type"]][0]
            resource["Properties"][name] = {"Bucket": "code", "Key": resource["Properties"][name]}
    session = boto3.session.Session(region_name="us-east-1")
    translated: dict[str, Any] = Translator({}, Parser(), boto_session=session).translate(template, {})
    return translated


def processed() -> dict[str, Any]:
    """template.yaml as CloudFormation's GetTemplate returns its stage Processed."""
    found: dict[str, Any] = json.loads(json.dumps(translated_of(source())))
    return found


def deployed(template: dict[str, Any], stage: str = "prod", **given: str) -> Deployed:
    """The resources that the template deploys with these values of parameters. Changes `template`.

    Parameters that are not given have their defaults, or the values of SWITCHED_ON.
    """
    parameters = {name: str(parameter.get("Default")) for name, parameter in template["Parameters"].items()}
    parameters |= {"Stage": stage, "AlarmEmail": "ops@example.org"} | SWITCHED_ON | given
    translated = translated_of(template)
    resolver = _Resolver(parameters, translated.get("Conditions", {}))
    return Deployed(
        stage,
        {
            name: resolver.resolve(resource)
            for name, resource in translated["Resources"].items()
            if resolver.holds({"Condition": resource["Condition"]} if "Condition" in resource else True)
        },
    )


@cache
def as_deployed(stage: str = "prod") -> Deployed:
    """template.yaml in a stage, with the values of SWITCHED_ON."""
    return deployed(source(), stage)


def resolved(value: Any, parameters: dict[str, str], conditions: dict[str, Any]) -> Any:
    """Any part of a template, with its parameters and conditions resolved."""
    return _Resolver(parameters, conditions).resolve(value)


class _Resolver:
    def __init__(self, parameters: dict[str, str], conditions: dict[str, Any]) -> None:
        self._parameters, self._conditions = parameters, conditions

    def resolve(self, value: Any) -> Any:
        if isinstance(value, list):
            return [entry for entry in map(self.resolve, value) if entry != "${AWS::NoValue}"]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (name, content), *_ = value.items()
            if name == "Ref":
                return self._parameters.get(content, f"${{{content}}}")
            if name == "Fn::GetAtt":
                return f"${{{content if isinstance(content, str) else '.'.join(content)}}}"
            if name == "Fn::Sub":
                return self._sub(content)
            if name == "Fn::Join":
                separator, parts = content
                return separator.join(str(self.resolve(part)) for part in parts)
            if name == "Fn::If":
                condition, yes, no = content
                return self.resolve(yes if self.holds({"Condition": condition}) else no)
            if name.startswith("Fn::"):
                return {name: self.resolve(content)}
        resolved = {name: self.resolve(entry) for name, entry in value.items()}
        return {name: entry for name, entry in resolved.items() if entry != "${AWS::NoValue}"}

    def _sub(self, content: Any) -> str:
        text, values = (content, {}) if isinstance(content, str) else content
        known = self._parameters | {name: str(self.resolve(value)) for name, value in values.items()}
        return re.sub(r"\$\{([\w:.]+)\}", lambda found: known.get(found[1], found[0]), text)

    def holds(self, condition: Any) -> bool:
        if isinstance(condition, bool):
            return condition
        ((name, content),) = condition.items()
        if name == "Condition":
            return self.holds(self._conditions[content])
        if name == "Fn::Equals":
            one, other = (str(self.resolve(side)) for side in content)
            return one == other
        if name == "Fn::Not":
            return not self.holds(content[0])
        if name in ("Fn::And", "Fn::Or"):
            return (all if name == "Fn::And" else any)(self.holds(part) for part in content)
        raise ValueError(f"unknown condition: {name}")

"""Changes a deployed template so that its stack uses other tables than those that it created.

CloudFormation imports a table into a stack only under a logical id that the stack does not use. So the stack is first
updated with a template without its tables, in which the names of the other tables replace references. Then the other
tables are imported under the old logical ids, and the original template can be deployed again without a change.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Template = dict[str, Any]

_REFERENCE = re.compile(r"\$\{(\w+)(?:\.(\w+))?\}")
_POLICIES = ("DeletionPolicy", "UpdateReplacePolicy")


@dataclass(frozen=True)
class Table:
    """A table. `stream_arn` is empty if it has no stream."""

    name: str
    arn: str
    stream_arn: str = ""

    def attribute(self, name: str) -> str:
        """The value of an attribute for `Fn::GetAtt`. Raises KeyError for an unknown one."""
        return {"Arn": self.arn, "StreamArn": self.stream_arn}[name]


def without_tables(
    processed: Template, tables: Mapping[str, Table], given: Mapping[str, str], restore: str
) -> Template:
    """The template without these tables (by logical id). References are replaced by names, ARNs and stream ARNs.

    `processed` is the template after its transforms. `given` are the stack's parameters. `restore` is the restore's id.
    """
    changed: Template = _named(copy.deepcopy(processed), tables)
    for name in tables:
        changed["Resources"].pop(name, None)
    for resource in changed["Resources"].values():
        _decide_policies(resource, processed, given)
    _publish(changed["Resources"], restore)
    return changed


def with_tables(
    without: Template, processed: Template, tables: Mapping[str, Table], given: Mapping[str, str]
) -> Template:
    """The template of the import: the result of `without_tables` with the tables added again, and no other change."""
    changed = copy.deepcopy(without)
    for name in tables:
        changed["Resources"][name] = copy.deepcopy(processed["Resources"][name])
        _decide_policies(changed["Resources"][name], processed, given)
    return changed


def _named(value: Any, tables: Mapping[str, Table]) -> Any:
    """A part of a template, with references to `tables` replaced by names, ARNs and stream ARNs."""
    if isinstance(value, list):
        return [_named(entry, tables) for entry in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((function, content),) = value.items()
        if function == "Ref" and content in tables:
            return tables[content].name
        if function == "Fn::GetAtt":
            name, attribute = content.split(".", 1) if isinstance(content, str) else content
            return tables[name].attribute(attribute) if name in tables else value
        if function == "Fn::Sub":
            text, *variables = [content] if isinstance(content, str) else content
            named = _REFERENCE.sub(lambda found: _substituted(found, tables), text)
            return {function: [named, *_named(variables, tables)] if variables else named}
    return {name: _named(entry, tables) for name, entry in value.items()}


def _substituted(found: re.Match[str], tables: Mapping[str, Table]) -> str:
    name, attribute = found.groups()
    if name not in tables:
        return found[0]
    return tables[name].attribute(attribute) if attribute else tables[name].name


def _publish(resources: dict[str, Any], restore: str) -> None:
    """Makes CloudFormation publish new versions of all functions.

    Routes call an alias of a version, which keeps the environment of its publication. A new description replaces the
    version. Lambda publishes nothing if the function is unchanged, so an environment variable is added, too. Deploying
    the original template removes it, which publishes again.
    """
    for version in resources.values():
        if version["Type"] == "AWS::Lambda::Version":
            properties = version["Properties"]
            properties["Description"] = {"Fn::Join": [" ", [properties.get("Description", ""), restore]]}
            function = resources[properties["FunctionName"]["Ref"]]["Properties"]
            function["Environment"]["Variables"]["RESTORE"] = restore


def _decide_policies(resource: dict[str, Any], template: Template, given: Mapping[str, str]) -> None:
    """Replaces Fn::If in deletion policies by its result: only templates with a transform may have Fn::If there."""
    for policy in _POLICIES:
        if policy in resource:
            resource[policy] = decided(resource[policy], template, given)


def decided(value: Any, template: Template, given: Mapping[str, str]) -> Any:
    """A part of a template with its conditions decided by the stack's parameters, without values of AWS::NoValue."""
    if isinstance(value, list):
        return [found for entry in value if (found := decided(entry, template, given)) is not None]
    if not isinstance(value, dict):
        return value
    if value == {"Ref": "AWS::NoValue"}:
        return None
    if "Fn::If" in value:
        condition, yes, no = value["Fn::If"]
        return decided(yes if _holds({"Condition": condition}, template, given) else no, template, given)
    parts = {name: decided(entry, template, given) for name, entry in value.items()}
    return {name: entry for name, entry in parts.items() if entry is not None}


def _holds(condition: Any, template: Template, given: Mapping[str, str]) -> bool:
    ((function, content),) = condition.items()
    if function == "Condition":
        return _holds(template["Conditions"][content], template, given)
    if function == "Fn::Equals":
        one, other = (str(given.get(side["Ref"], "") if isinstance(side, dict) else side) for side in content)
        return one == other
    if function == "Fn::Not":
        return not _holds(content[0], template, given)
    held = [_holds(part, template, given) for part in content]
    return all(held) if function == "Fn::And" else any(held)

"""Whether IAM allows a call: policies with conditions, and a permissions boundary.

The packages on PyPI that read policies (policy-sentry, parliament, cloudsplaining) ignore conditions, which decide
here. So this module evaluates the part of IAM's language that deploy/oidc-role.yaml uses, and raises on the rest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Statement = dict[str, Any]

OPERATORS = {
    "StringEquals": lambda pattern, value: pattern == value,
    "StringLike": lambda pattern, value: _matches(pattern, value),
    "ArnLike": lambda pattern, value: _matches_arn(pattern, value),
}
_KNOWN = {"Sid", "Effect", "Action", "Resource", "Condition"}


@dataclass(frozen=True)
class Call:
    """One question to IAM. `context` has the request's condition keys, such as `iam:PassedToService`."""

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)


def allowed(call: Call, policy: list[Statement], boundary: list[Statement] | None = None) -> bool:
    """Whether the policy and the boundary allow the call. Resource policies are not evaluated."""
    return _allows(policy, call) and (boundary is None or _allows(boundary, call))


def _allows(statements: list[Statement], call: Call) -> bool:
    effects = {statement["Effect"] for statement in statements if _applies(statement, call)}
    return "Allow" in effects and "Deny" not in effects


def _applies(statement: Statement, call: Call) -> bool:
    if unknown := set(statement) - _KNOWN:
        raise ValueError(f"not evaluated: {', '.join(sorted(unknown))}")
    return (
        any(_matches(pattern.lower(), call.action.lower()) for pattern in _list(statement["Action"]))
        and any(_matches_arn(pattern, call.resource) for pattern in _list(statement["Resource"]))
        and all(
            # A key that the request does not have fails its condition.
            key in call.context and any(OPERATORS[operator](value, call.context[key]) for value in _list(values))
            for operator, keys in statement.get("Condition", {}).items()
            for key, values in keys.items()
        )
    )


def _matches(pattern: str, value: str) -> bool:
    return re.fullmatch("".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in pattern), value) is not None


def _matches_arn(pattern: str, value: str) -> bool:
    """Compares part by part, so that a wildcard matches only within its part. The last part may contain colons."""
    if pattern == "*":
        return True
    patterns, values = pattern.split(":", 5), value.split(":", 5)
    return len(patterns) == len(values) and all(map(_matches, patterns, values))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]

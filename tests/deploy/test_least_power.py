"""No deployment can reach beyond its own stage: evaluates deploy/oidc-role.yaml as IAM does."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from local.stack import ROOT
from tests.deploy.deployment import FILE, PSEUDO, arn, deployment, template
from tests.deploy.escalation import escalations, needed, possible_escalations
from tests.deploy.iam import Call, allowed
from tests.infrastructure import rights
from tests.infrastructure.deployed import deployed, source

STACKS = ("tillbook-staging", "tillbook-prod")
Document = dict[str, Any]


def oidc_role() -> Document:
    return template(FILE.read_text())


def test_no_role_reaches_beyond_its_stage() -> None:
    assert possible_escalations(deployment(oidc_role())) == set()


def test_a_deployment_may_make_the_calls_that_it_needs() -> None:
    for stack in STACKS:
        stage = deployment(oidc_role(), stack)
        assert [(role, call) for role, call in needed(stage) if not allowed(call, stage.roles[role])] == []


def test_the_earlier_roles_are_found_to_be_administrators() -> None:
    before = possible_escalations(deployment(template((ROOT / "tests/deploy/administrators.yaml").read_text())))
    assert {
        "iam:CreateRole without a boundary",
        "iam:PutRolePolicy without a boundary",
        "iam:AttachRolePolicy within a boundary of its own",
        "iam:PutRolePolicy of ExecutionRole",
        "iam:UpdateAssumeRolePolicy of DeployRole",
        "a boundary is removed",
        "a boundary is replaced",
        "the boundary is changed",
        "a policy is created",
        "a role is passed to another service",
        "another role is passed",
        "a queue of another stack's function",
        "a layer of another stack",
        "artifacts of another stack",
    } <= before
    # A role that a deployment of the earlier file creates can make every escalation.
    assert {f"within the boundary: {name}" for name, _ in escalations(deployment(oidc_role()))} <= before


# ------------------------------------------------------- planted faults are found


def statement(document: Document, role: str, sid: str) -> dict[str, Any]:
    properties = document["Resources"][role]["Properties"]
    policy = (
        properties["PolicyDocument"] if "PolicyDocument" in properties else properties["Policies"][0]["PolicyDocument"]
    )
    (one,) = [s for s in policy["Statement"] if s["Sid"] == sid]
    found: dict[str, Any] = one
    return found


# Each of the following functions returns a change that plants a fault in deploy/oidc-role.yaml.


def _without_condition(sid: str) -> Callable[[Document], None]:
    return lambda document: statement(document, "ExecutionRole", sid).__delitem__("Condition")


def _also(role: str, sid: str, *actions: str) -> Callable[[Document], None]:
    return lambda document: statement(document, role, sid)["Action"].extend(actions)


def _on(role: str, sid: str, *resources: Any) -> Callable[[Document], None]:
    return lambda document: statement(document, role, sid).update(Resource=list(resources))


def _condition(sid: str, condition: Any) -> Callable[[Document], None]:
    return lambda document: statement(document, "ExecutionRole", sid).update(Condition=condition)


def _at_the_root(name: str) -> Callable[[Document], None]:
    """Removes the path of a role, so that its name begins with the stack's name, as those of the stack's roles do."""
    return lambda document: document["Resources"][name]["Properties"].update(Path="/")


def _both(first: Callable[[Document], None], second: Callable[[Document], None]) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        first(document)
        second(document)

    return change


_POLICIES = {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:policy/*"}
_ANY_ROLE = {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:role/*"}
# By description of the fault: the change that plants it, and the kind of escalation that it makes possible.
PLANTED: dict[str, tuple[Callable[[Document], None], str]] = {
    "roles without the condition": (_without_condition("RolesWithinTheBoundary"), "iam:CreateRole without a boundary"),
    "a condition with any boundary": (
        _condition("RolesWithinTheBoundary", {"StringLike": {"iam:PermissionsBoundary": "*"}}),
        "iam:PutRolePolicy within a boundary of its own",
    ),
    "a right outside of the condition": (
        _also("ExecutionRole", "RolesOfTheStack", "iam:AttachRolePolicy"),
        "iam:AttachRolePolicy without a boundary",
    ),
    "the right to change who may use a role": (
        _also("ExecutionRole", "RolesOfTheStack", "iam:UpdateAssumeRolePolicy"),
        "iam:UpdateAssumeRolePolicy without a boundary",
    ),
    "the execution role among the stack's roles": (
        _both(_at_the_root("ExecutionRole"), _also("ExecutionRole", "RolesOfTheStack", "iam:PutRolePolicy")),
        "iam:PutRolePolicy of ExecutionRole",
    ),
    "the execution role may be passed": (_at_the_root("ExecutionRole"), "another role is passed"),
    "any role may be passed": (
        _on("ExecutionRole", "RolesForFunctionsAndSchedules", _ANY_ROLE),
        "another role is passed",
    ),
    "a role may be passed to any service": (
        _without_condition("RolesForFunctionsAndSchedules"),
        "a role is passed to another service",
    ),
    "services by a wildcard": (
        _condition("RolesForFunctionsAndSchedules", {"StringLike": {"iam:PassedToService": "*.amazonaws.com"}}),
        "a role is passed to another service",
    ),
    "the right to remove boundaries": (
        _also("ExecutionRole", "RolesWithinTheBoundary", "iam:DeleteRolePermissionsBoundary"),
        "a boundary is removed",
    ),
    "the right to replace boundaries": (
        _also("ExecutionRole", "RolesOfTheStack", "iam:PutRolePermissionsBoundary"),
        "a boundary is replaced",
    ),
    "the right to change policies": (
        lambda document: statement(document, "ExecutionRole", "RolesOfTheStack").update(
            Action=["iam:CreatePolicyVersion"], Resource=_POLICIES
        ),
        "the boundary is changed",
    ),
    "the right to create policies": (
        lambda document: statement(document, "ExecutionRole", "RolesOfTheStack").update(
            Action=["iam:CreatePolicy"], Resource=_POLICIES
        ),
        "a policy is created",
    ),
    "the right to change users": (
        lambda document: statement(document, "ExecutionRole", "RolesOfTheStack").update(Action="iam:*", Resource="*"),
        "a user is made or changed",
    ),
    "queues of others' functions": (
        _without_condition("QueuesThatCallFunctions"),
        "a queue of another stack's function",
    ),
    "layers of any name": (
        _on(
            "ExecutionRole",
            "NamedAfterTheStack",
            {"Fn::Sub": "arn:aws:lambda:${AWS::Region}:${AWS::AccountId}:layer:*"},
        ),
        "a layer of another stack",
    ),
    "tables of every Tillbook stack": (
        _on("ExecutionRole", "NamedAfterTheStack", "arn:aws:dynamodb:*:*:table/tillbook-*"),
        "a table of another stack",
    ),
    "a bucket that all stacks share": (
        _on("DeployRole", "UploadTheBuild", "arn:aws:s3:::aws-sam-cli-managed-default-*/*"),
        "artifacts of another stack",
    ),
    "any stack may be changed": (_on("DeployRole", "ChangeTheStack", "*"), "another stack"),
    "a boundary with IAM in it": (
        _also("Boundary", "Trace", "iam:CreateUser"),
        "within the boundary: a user is made or changed",
    ),
    "a boundary for all roles": (
        _also("Boundary", "Trace", "sts:AssumeRole"),
        "within the boundary: another role is assumed",
    ),
    "a boundary for all tables": (
        _on("Boundary", "ReadAndWriteItems", "*"),
        "within the boundary: a table of another stack",
    ),
    "a boundary for all keys": (
        lambda document: statement(document, "Boundary", "EncryptAndDecryptThem").__delitem__("Condition"),
        "within the boundary: any key",
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found(name: str) -> None:
    plant, kind = PLANTED[name]
    faulty = oidc_role()
    plant(faulty)
    assert kind in possible_escalations(deployment(faulty))


def test_a_statement_that_cannot_be_evaluated_raises() -> None:
    call = Call("s3:GetObject", "arn:aws:s3:::b/k")
    with pytest.raises(ValueError, match="NotAction"):
        allowed(call, [{"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}])
    with pytest.raises(KeyError):
        allowed(
            Call("s3:GetObject", "arn:aws:s3:::b/k", {"aws:SourceIp": "::1"}),
            [
                {
                    "Effect": "Allow",
                    "Action": "s3:*",
                    "Resource": "*",
                    "Condition": {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
                }
            ],
        )


# ----------------------------------------------- the boundary and template.yaml


def _physical(stack: str) -> Callable[[str], str]:
    """Returns a function that replaces references like `${OrdersQueue.Arn}` by the ARNs that AWS would give."""
    kinds = {
        name: resource["Type"] for name, resource in deployed(source(), RoleBoundary="administrator").resources.items()
    }

    def named(found: re.Match[str]) -> str:
        name = found[1]
        if name in PSEUDO or name == "AWS::StackName":
            return stack if name == "AWS::StackName" else PSEUDO[name]
        logical = name.partition(".")[0]
        if kinds[logical] == "AWS::Events::EventBus":  # it has the stack's own name
            return arn("events", f"event-bus/{stack}")
        service, rest = {
            "AWS::DynamoDB::Table": ("dynamodb", "table/{}"),
            "AWS::SQS::Queue": ("sqs", "{}"),
            "AWS::Logs::LogGroup": ("logs", "log-group:{}:*"),
            "AWS::Lambda::Function": ("lambda", "function:{}"),
        }[kinds[logical]]
        return arn(service, rest.format(f"{stack}-{logical}-1A2B3C"))

    return lambda text: re.sub(r"\$\{([\w:.]+)\}", named, text)


@pytest.mark.parametrize("stack", STACKS)
def test_every_role_of_the_template_has_the_boundary_and_works_within_it(stack: str) -> None:
    stage, physical = deployment(oidc_role(), stack), _physical(stack)
    template = deployed(source(), RoleBoundary="administrator")
    assert "FunctionBoundary" not in template.resources
    via = {"kms:ViaService": f"ssm.{PSEUDO['AWS::Region']}.amazonaws.com"}
    roles = dict(template.of("IAM::Role"))
    assert len(roles) > 10
    for name, role in roles.items():
        assert physical(role["PermissionsBoundary"]) == stage.arns["Boundary"], name
        for action, resource in rights.inline(role):
            assert allowed(Call(action, physical(resource), via), stage.boundary), (name, action, resource)


def test_the_boundary_allows_the_actions_of_the_stack_s_own_boundary_and_to_invoke_functions() -> None:
    """The stack's own boundary is only for roles of functions, this one also for the role that starts the audit."""
    stage = deployment(oidc_role())
    own = deployed(source()).resources["FunctionBoundary"]["Properties"]["PolicyDocument"]["Statement"]
    actions = {action for s in own for action in rights.as_list(s["Action"])}
    assert {action for s in stage.boundary for action in rights.as_list(s["Action"])} == actions | {
        "lambda:InvokeFunction"
    }

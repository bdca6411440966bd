"""Alarms, runbook and dashboard agree with each other, and with the metrics and logs of the code."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest

from local.stack import ROOT
from tests.infrastructure.deployed import as_deployed, source

PACKAGE = ROOT / "layers/shared/tillbook"
REFERENCE = re.compile(r"\$\{(\w+)(?:\.\w+)?\}")
# Metrics of AWS that may be used. By namespace: the dimension that names our resource, its type, and the metrics.
OF_AWS = {
    "AWS/SQS": ("QueueName", "SQS::Queue", {"ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible"}),
    "AWS/ApiGateway": ("ApiId", "ApiGatewayV2::Api", {"Count", "4xx", "5xx", "Latency"}),
    "AWS/Lambda": ("FunctionName", "Lambda::Function", {"Errors", "Throttles", "ConcurrentExecutions", "IteratorAge"}),
    "AWS/DynamoDB": (
        "TableName",
        "DynamoDB::Table",
        {"ReadThrottleEvents", "WriteThrottleEvents", "ConsumedWriteCapacityUnits"},
    ),
}
# Metrics with computed names, by the expression in the code.
COMPUTED_NAMES = {
    "result.status.capitalize()": {"Applied", "Duplicate", "Failed"},
    "f'Status{response.status // 100}xx'": {"Status2xx", "Status4xx", "Status5xx"},
    "f'Rejected{type(refused).__name__}'": {
        f"Rejected{name}" for name in ("Invalid", "Malformed", "NotFound", "Conflict", "TooLarge", "UnsupportedType")
    },
}


def emitted() -> set[str]:
    """Names that `count` and `measure` are called with, anywhere in the package."""
    found: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("count", "measure") and node.args:
                for part in ast.walk(node.args[0]) if isinstance(node.args[0], ast.IfExp) else [node.args[0]]:
                    if isinstance(part, ast.Constant) and str(part.value)[:1].isupper():
                        found.add(str(part.value))
                    found |= COMPUTED_NAMES.get(ast.unparse(part), set())
    return found


Metric = tuple[str, str, dict[str, str]]  # namespace, name, dimensions


def metrics_of_alarms() -> Iterator[tuple[str, Metric]]:
    """Each alarm's logical id with a metric that it watches."""
    for name, alarm in as_deployed().of("CloudWatch::Alarm"):
        single = [alarm] if "MetricName" in alarm else []
        for metric in single + [m["MetricStat"]["Metric"] for m in alarm.get("Metrics", []) if "MetricStat" in m]:
            dimensions = {d["Name"]: d["Value"] for d in metric.get("Dimensions", [])}
            yield name, (metric["Namespace"], metric["MetricName"], dimensions)


def dashboard_body() -> dict[str, Any]:
    ((_, dashboard),) = as_deployed().of("CloudWatch::Dashboard")
    parsed: dict[str, Any] = json.loads(dashboard["DashboardBody"])
    return parsed


def metrics_of_dashboard() -> Iterator[tuple[str, Metric]]:
    """Each widget's title with a metric of it. A dot in a row means the entry above, and is replaced by it."""
    for widget in dashboard_body()["widgets"]:
        above: list[Any] = []
        for row in widget["properties"].get("metrics", []):
            names = [part for part in row if isinstance(part, str)]
            if not names:
                continue  # an expression
            above = [above[place] if part == "." else part for place, part in enumerate(names)]
            yield widget["properties"]["title"], (above[0], above[1], dict(zip(above[2::2], above[3::2], strict=True)))


def wrong(metric: Metric) -> str:
    """Describes the metric if nothing sends it. Returns an empty text otherwise."""
    namespace, name, dimensions = metric
    if namespace == "Tillbook":
        if dimensions != {"service": "${AWS::StackName}"}:
            return f"{name}: {dimensions}"
        return "" if name in emitted() else f"no code sends {name}"
    dimension, kind, names = OF_AWS[namespace]
    target = REFERENCE.fullmatch(dimensions.get(dimension, ""))
    if name not in names or not target or target[1] not in dict(as_deployed().of(kind)):
        return f"{namespace} {name}: {dimensions}"
    return ""


@pytest.mark.parametrize(
    ("where", "metric"), [*metrics_of_alarms(), *metrics_of_dashboard()], ids=lambda v: str(v)[:60]
)
def test_every_metric_is_sent_by_the_code_or_belongs_to_a_resource_of_the_stack(where: str, metric: Metric) -> None:
    assert wrong(metric) == "", where


def test_an_unknown_metric_is_found() -> None:
    service = {"service": "${AWS::StackName}"}
    assert wrong(("Tillbook", "Applied", service)) == ""
    assert wrong(("Tillbook", "Aplied", service))
    assert wrong(("Tillbook", "Applied", {"service": "tillbook"}))
    assert wrong(("AWS/SQS", "ApproximateAgeOfOldestMessage", {"QueueName": "${LedgerTable}"}))


def test_the_first_row_of_the_dashboard_has_three_values_and_all_alarms() -> None:
    first = [w for w in dashboard_body()["widgets"] if w["y"] == 0]
    assert [w["type"] for w in first] == ["metric", "metric", "metric", "alarm"]
    assert all(w["properties"]["view"] == "singleValue" for w in first[:3])
    shown = {REFERENCE.fullmatch(arn)[1] for arn in first[3]["properties"]["alarms"]}  # type: ignore[index]
    assert shown == {name for name, _ in as_deployed().of("CloudWatch::Alarm")}
    places = [
        (w["x"] + dx, w["y"] + dy)
        for w in dashboard_body()["widgets"]
        for dx in range(w["width"])
        for dy in range(w["height"])
    ]
    assert len(places) == len(set(places)), "widgets overlap"
    assert max(x for x, _ in places) == 23  # the dashboard has 24 columns


def test_the_runbook_has_an_entry_for_each_alarm_and_no_other() -> None:
    text = (ROOT / "docs/runbook.md").read_text()
    entries = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    assert set(entries) == {name for name, _ in as_deployed().of("CloudWatch::Alarm")}
    for name, entry in entries.items():
        assert re.search(r"\*\*Means:\*\* .+\n\*\*Do:\*\* .+\n```sh( proof=aws)?\n.+\n```", entry, re.DOTALL), name


def test_names_in_the_runbook_exist() -> None:
    text = (ROOT / "docs/runbook.md").read_text()
    template = source()
    named = set(re.findall(r"\$\(name (\w+)\)", text))
    assert named
    assert named <= set(template["Resources"])
    outputs = set(re.findall(r"\$\(output (\w+)\)", text))
    assert outputs
    assert outputs <= set(template["Outputs"])
    parameters = set(re.findall(r"`(\w+)=\w+` in `parameter_overrides`", text))
    assert parameters
    assert parameters <= set(template["Parameters"])


def test_no_command_of_the_runbook_is_sam_deploy() -> None:
    """`sam deploy` would deploy an earlier build, or the sources if there is none."""
    text = (ROOT / "docs/runbook.md").read_text()
    blocks = re.findall(r"```sh[^\n]*\n(.*?)```", text, re.DOTALL)
    assert not [block for block in blocks if "sam deploy" in block]


def test_parameter_overrides_include_those_of_samconfig() -> None:
    """--parameter-overrides replaces the list of samconfig.toml, and Stage has no default, so it must be repeated."""
    assert "Default" not in source()["Parameters"]["Stage"]
    settings = tomllib.loads((ROOT / "samconfig.toml").read_text())
    listed = {"Stage", "Architecture"}
    for stage in ("default", "dev", "staging", "prod"):
        parameters = settings[stage]["global"]["parameters"]["parameter_overrides"]
        assert {parameter.partition("=")[0] for parameter in parameters} == listed
    found = 0
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for names in re.findall(r"--parameter-overrides ((?:\w+=\S+ ?)+)", page.read_text()):
            named = {pair.partition("=")[0] for pair in names.split()}
            if named <= set(source()["Parameters"]):  # of this template, not of deploy/oidc-role.yaml
                found += 1
                assert named >= listed, (page, names)
    assert found >= 2


def test_log_retention_is_a_value_that_cloudwatch_allows() -> None:
    """Another value, such as 10 or 45 days, would fail in the middle of a deployment."""
    parameter = source()["Parameters"]["LogRetentionDays"]
    assert {1, parameter["Default"], 400, 3653} <= set(parameter["AllowedValues"])
    assert not {0, 10, 45, 3654} & set(parameter["AllowedValues"])


def test_the_shell_commands_of_the_runbook_have_valid_syntax() -> None:
    blocks = re.findall(r"```sh[^\n]*\n(.*?)```", (ROOT / "docs/runbook.md").read_text(), re.DOTALL)
    for block in blocks:
        ran = subprocess.run(["bash", "-n"], input=block, text=True, capture_output=True, check=False)
        assert ran.returncode == 0, block + ran.stderr


def _logged() -> tuple[set[str], set[str]]:
    """The messages that the package logs, and the names of their fields."""
    messages: set[str] = set()
    fields = {"level", "message", "timestamp"}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                if ast.unparse(node.func) in ("logger.info", "logger.warning"):
                    constants = [one.value for one in ast.walk(node.args[0]) if isinstance(one, ast.Constant)]
                    messages |= {str(constant) for constant in constants}
                    fields |= {keyword.arg for keyword in node.keywords if keyword.arg}
                elif node.func.attr == "append_keys":
                    fields |= {keyword.arg for keyword in node.keywords if keyword.arg}
    return messages, fields


def test_the_log_patterns_of_the_runbook_match_the_messages_of_the_code() -> None:
    text = (ROOT / "docs/runbook.md").read_text()
    messages, fields = _logged()
    # Lambda itself logs "Task timed out".
    quoted = {*re.findall(r"--filter-pattern '\"(.+?)\"'", text), *re.findall(r"filter message = \"(.+?)\"", text)}
    assert quoted - {"Task timed out"}
    assert quoted - {"Task timed out"} <= messages
    words = set(re.findall(r"--filter-pattern (\w+)", text))  # WARNING is a level
    assert words - {"WARNING"} <= {word for message in messages for word in message.split()}
    # Patterns on fields, as `{ $.field = …`, by the group of logs.
    fields_by_group = re.findall(r"\$\(name (\w+)Logs\)[^\n]*--filter-pattern '\{ \$\.(\w+)", text)
    assert {field for name, field in fields_by_group if name != "Api"} <= fields
    access_log = json.dumps(source()["Resources"])
    assert {field for name, field in fields_by_group if name == "Api"} <= set(
        re.findall(r'\\"(\w+)\\": *\\"\$', access_log)
    )


def test_alarms_keep_to_the_limits_of_cloudwatch() -> None:
    """Ten metrics at most, a day at most (seven with periods of an hour or more), and one returned value."""
    for name, alarm in as_deployed().of("CloudWatch::Alarm"):
        metrics = [m for m in alarm.get("Metrics", []) if "MetricStat" in m]
        assert len(metrics) <= 10, name
        of_metrics = [m["MetricStat"]["Period"] for m in metrics] or [m.get("Period") for m in alarm.get("Metrics", [])]
        period = alarm.get("Period") or of_metrics[0]
        assert int(period) * int(alarm["EvaluationPeriods"]) <= (7 if int(period) >= 3600 else 1) * 86400, name
        returned = [m for m in alarm.get("Metrics", []) if m.get("ReturnData", True)]
        assert len(returned) == (1 if "Metrics" in alarm else 0), name


def test_the_visibility_time_out_covers_the_batching_window() -> None:
    resources = source()["Resources"]
    longest = int(source()["Parameters"]["BatchingWindowSeconds"]["MaxValue"])
    timeout = int(resources["ProcessOrders"]["Properties"]["Timeout"])
    assert int(resources["OrdersQueue"]["Properties"]["VisibilityTimeout"]) >= 6 * timeout + longest


def test_x_ray_is_on_and_order_functions_import_neither_its_sdk_nor_the_audit() -> None:
    assert source()["Globals"]["Function"]["Tracing"] == "Active"
    assert "xray" not in (PACKAGE.parent / "requirements.txt").read_text()
    code = (
        "import sys, functions.submit_order.app, functions.record_activity.app, functions.process_orders.app\n"
        "heavy = {'aws_xray_sdk', 'tillbook.views.audit'} & set(sys.modules)\nassert not heavy, heavy"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{PACKAGE.parent}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr

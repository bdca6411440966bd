"""Tests docs/architecture.md and its picture against template.yaml, and a limit that docs/correctness.md states."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from local import template as templates
from local.stack import ROOT
from openapi import architecture
from tillbook.ledger.activities import MAX_TOGETHER

PAGE = (ROOT / "docs" / "architecture.md").read_text()
PICTURE = (ROOT / "docs" / "pictures" / "architecture.svg").read_text()
RESOURCES = templates.load(ROOT / "template.yaml")["Resources"]


def _names_of_type(kind: str) -> list[str]:
    return [name for name, resource in RESOURCES.items() if resource["Type"] == kind]


def test_every_function_is_on_the_page_and_in_the_picture() -> None:
    for name in _names_of_type("AWS::Serverless::Function"):
        folder = Path(RESOURCES[name]["Properties"]["CodeUri"]).name
        assert f"`{folder}`" in PAGE, folder
        assert re.search(rf"\b{folder}\b", PICTURE), folder


def test_every_table_and_index_is_on_the_page() -> None:
    for table in _names_of_type("AWS::DynamoDB::Table"):
        assert f"`{table}`" in PAGE
        for index in RESOURCES[table]["Properties"].get("GlobalSecondaryIndexes", []):
            assert f"`{index['IndexName']}`" in PAGE


def test_every_schedule_topic_and_dashboard_is_on_the_page() -> None:
    kinds = ("AWS::Scheduler::Schedule", "AWS::SNS::Topic", "AWS::CloudWatch::Dashboard")
    found = [name for kind in kinds for name in _names_of_type(kind)]
    assert len(found) > len(kinds)
    assert [name for name in found if f"`{name}`" not in PAGE] == []


def test_the_picture_has_a_dark_theme_and_loads_no_other_file() -> None:
    root = ElementTree.fromstring(PICTURE)  # noqa: S314 - our own file
    assert root.get("viewBox")
    assert "prefers-color-scheme: dark" in PICTURE
    # GitHub shows the picture as an image, in which browsers load nothing and run no script.
    assert not re.search(r"<script|<image|<foreignObject|xlink|url\((?!#)", PICTURE)


def test_correctness_md_has_the_limit_of_events_in_a_transaction() -> None:
    assert f"up to {MAX_TOGETHER} events of one account" in (ROOT / "docs" / "correctness.md").read_text()


def test_the_table_of_items_is_up_to_date() -> None:
    assert architecture.page(PAGE) == PAGE
    assert len(architecture.classes()) > 15

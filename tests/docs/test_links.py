"""Tests that the targets of links on pages exist, and that docs/README.md links every page of docs/."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

import pytest

from local.stack import ROOT
from tests.docs.markdown import anchors, links, pages


def broken(page: Path) -> list[str]:
    """Describes each link whose target does not exist. Links to other hosts are not checked."""
    found = []
    for line, target in links(page):
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        name, _, anchor = unquote(target).partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists():
            found.append(f"{page.name}:{line}: there is no {target}")
        elif anchor and file.suffix == ".md" and anchor not in anchors(file):
            found.append(f"{page.name}:{line}: {file.name} has no heading #{anchor}")
    return found


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_the_targets_of_links_exist(page: Path) -> None:
    assert not broken(page)


def test_the_index_lists_every_page() -> None:
    index = ROOT / "docs" / "README.md"
    listed = {(index.parent / target.partition("#")[0]).resolve() for _, target in links(index)}
    missing = [page for page in pages(ROOT / "docs") if page != index and page.resolve() not in listed]
    assert not missing, "docs/README.md does not list these pages"


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# One thing\n## One thing\n## `a/b`: what?\n")
    page = tmp_path / "page.md"
    page.write_text("[a](other.md#one-thing-1) [b](other.md#ab-what) ![c](none.svg) [d](#here) `[e](f.md)`\n# There\n")
    assert broken(page) == ["page.md:1: there is no none.svg", "page.md:1: page.md has no heading #here"]

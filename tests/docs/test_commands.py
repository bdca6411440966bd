"""Tests each command of each page."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from local.stack import ROOT, Stack
from tests.docs import prepared, proofs, substitute
from tests.docs.markdown import SHELLS, Block, blocks, in_reading_order, pages, spans
from tests.docs.shell import CURL, Page
from tests.end_to_end.shop import Shop

PAGES = pages()
SHELL_BLOCKS = {page: [block for block in blocks(page) if block.language in SHELLS] for page in PAGES}
RUN_BLOCKS = {page: [block for block in found if "proof" not in block.options] for page, found in SHELL_BLOCKS.items()}
CHECKED_BLOCKS = [block for found in SHELL_BLOCKS.values() for block in found if "proof" in block.options]
OPTIONS = frozenset({"proof", "status", "wait", "keep"})
# Languages of blocks that do not run. Those with the option `output` have the expected output of a command.
OTHERS = frozenset({"text", "json", "python", "js", "ruby", "php", "csv", "yaml", "toml", "diff", "ini", "sql"})


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture(scope="module")
def account(stack: Stack) -> Shop:
    """The one account of all pages, which therefore must not use each other's order ids and people."""
    return Shop.open(stack)


@pytest.mark.stack
@pytest.mark.skipif(CURL is None, reason="the commands of the pages did not run: there is no curl here")
@pytest.mark.parametrize("page", [page for page in in_reading_order() if RUN_BLOCKS.get(page)], ids=_name)
def test_the_commands_of_a_page_run(page: Path, account: Shop, tmp_path: Path) -> None:
    shell = Page(account, tmp_path, prepared.prepare(_name(page), account))
    try:
        for block in RUN_BLOCKS[page]:
            shell.run(block)
    finally:
        shell.close()


@pytest.mark.parametrize("block", CHECKED_BLOCKS, ids=lambda block: block.place)
def test_commands_that_cannot_run_are_checked(block: Block) -> None:
    try:
        proofs.prove(block.options["proof"], block.text)
    except proofs.CannotAskError as error:
        pytest.skip(f"`{block.text.strip()}` ({block.place}) was not checked: {error}")


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_commands_in_the_text_exist(page: Path) -> None:
    unchecked = set()
    for line, span in spans(page):
        for kind, words in proofs.mentioned(span):
            try:
                proofs.KINDS[kind](words)
            except proofs.CannotAskError as error:
                unchecked.add(str(error))
            except proofs.Unproven as error:
                pytest.fail(f"{_name(page)}:{line}: `{span}`: {error}")
    if unchecked:
        pytest.skip(f"commands in the text of {_name(page)} were not checked: {', '.join(unchecked)}")


def test_pages_are_in_reading_order() -> None:
    """README.md is first, the others follow in the order of docs/README.md, and none is missing."""
    order = in_reading_order()
    assert [_name(page) for page in order[:3]] == ["README.md", "docs/README.md", "docs/tutorial.md"]
    assert sorted(order) == PAGES


def _kind(block: Block) -> str:
    if "proof" in block.options:
        return f"proof={block.options['proof']}"
    is_replaced = re.search(
        rf"(^|[|(;]|do )\s*({'|'.join(substitute.PROGRAMS)}|\.venv/bin/python) ", block.text, re.MULTILINE
    )
    return "run in part" if is_replaced else "run"


def test_every_block_has_a_known_language_and_options(capsys: pytest.CaptureFixture[str]) -> None:
    """Each block names a known language and known options. Also prints the number of blocks by kind of test."""
    counts: Counter[str] = Counter()
    for page in PAGES:
        for block in blocks(page):
            assert block.language in SHELLS | OTHERS, f"{block.place}: the language {block.language!r} is unknown"
            if block.language in SHELLS:
                assert block.options.keys() <= OPTIONS, f"{block.place}: unknown options {set(block.options) - OPTIONS}"
                counts[_kind(block)] += 1
            else:
                assert "output" not in block.options, f"{block.place}: no command directly above this output"
    mentions = sum(len(proofs.mentioned(span)) for page in PAGES for _, span in spans(page))
    assert counts["run"]
    with capsys.disabled():
        how = ", ".join(f"{count} {kind}" for kind, count in counts.most_common())
        print(f"\ndocs: {sum(counts.values())} shell blocks on {len(PAGES)} pages ({how}); {mentions} in the text")

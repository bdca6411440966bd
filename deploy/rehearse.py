"""`python -m deploy.rehearse`: deploys a clone to MiniStack with the commands of docs/deploy.md, and tests it.

AWS_ENDPOINT_URL lets every command use a MiniStack that is empty at first.

1. Runs `sam build`.
2. Deploys deploy/oidc-role.yaml, as an administrator does.
3. Runs deploy/deploy.sh as the workflow does, with the role, bucket and boundary of step 2.
4. Creates the account and its keys with the `tillbook` command.
5. Runs the smoke test through the front door, since MiniStack's own API Gateway corrupts gzip; then `tillbook audit`.
6. Runs `sam delete`, after which no table may remain.

docs/deploy.md says what a rehearsal cannot show.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from deploy.smoke import Smoke, smoke
from local import template as templates
from local.deploy import number_concurrency
from local.stack import PARAMETERS, ROOT, Stack

NAME, ACCOUNT = "tillbook-dev", "smoke"
SAM = ROOT / ".venv-ci" / "bin" / "sam"
ARCHITECTURE = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"


def environment(endpoint_url: str) -> dict[str, str]:
    """The environment of a user whose AWS is at the endpoint, without the AWS settings of this machine."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TILLBOOK_"))}
    runtime = os.environ.get("PYTHON_RUNTIME")
    path = f"{Path(runtime).parent}:{os.environ['PATH']}" if runtime else os.environ["PATH"]
    return mine | {
        "PATH": path,
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": "/nonexistent",
        "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
        "SAM_CLI_TELEMETRY": "0",
    }


class Rehearsal(Stack):
    """The front door over a stack that `sam deploy` has deployed to MiniStack."""

    def __enter__(self) -> Rehearsal:
        super().__enter__()
        return self

    def deploy(self) -> None:
        pairs = [f"{name}={value}" for name, value in {"Architecture": ARCHITECTURE, **PARAMETERS}.items()]
        pairs.append("RoleBoundary=administrator")
        self.run(str(SAM), "build", "--config-env", "dev", "--parameter-overrides", *pairs)
        made = self.prepare()
        self.bucket = made["ArtifactsBucket"]
        by_the_role = ["--role-arn", made["ExecutionRole"], "--no-resolve-s3", "--s3-bucket", self.bucket]
        self.run("bash", "deploy/deploy.sh", "dev", *by_the_role, "--parameter-overrides", *pairs)
        number_concurrency(self.boto3_client("lambda"))
        cloudformation = self.boto3_client("cloudformation")
        stack = cloudformation.describe_stacks(StackName=NAME)["Stacks"][0]
        found = cloudformation.describe_stack_resources(StackName=NAME)["StackResources"]
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        self.resources = {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in found}
        template = templates.load(ROOT / ".aws-sam" / "build" / "template.yaml")
        self.routes = templates.routes(template)
        self._log_format, self._throttling = templates.access_log(template), templates.throttling(template)

    def prepare(self) -> dict[str, str]:
        """Deploys deploy/oidc-role.yaml and returns its outputs. MiniStack has no OIDC providers, so none is made."""
        template, name = templates.load(ROOT / "deploy" / "oidc-role.yaml"), f"{NAME}-deployment"
        provider = "arn:aws:iam::000000000000:oidc-provider/token.actions.githubusercontent.com"
        del template["Resources"]["Provider"]
        given = {"Repository": "owner/name", "Environment": "staging", "StackName": NAME, "ProviderArn": provider}
        cloudformation = self.boto3_client("cloudformation")
        cloudformation.create_stack(
            StackName=name,
            TemplateBody=json.dumps(template),
            Capabilities=["CAPABILITY_NAMED_IAM"],
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
        )
        cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
        outputs = cloudformation.describe_stacks(StackName=name)["Stacks"][0]["Outputs"]
        return {output["OutputKey"]: output["OutputValue"] for output in outputs}

    def run(self, *command: str) -> str:
        """Runs a command and returns its output. Raises SystemExit with the output if it fails."""
        started = time.monotonic()
        ran = subprocess.run(
            command,
            cwd=ROOT,
            env=environment(self.endpoint_url),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        shown = " ".join(Path(word).name if word.startswith(str(ROOT)) else word for word in command)
        print(f"{time.monotonic() - started:6.1f} s  {shown}", flush=True)
        if ran.returncode:
            raise SystemExit(f"{ran.stdout[-4000:]}\n{ran.stderr[-4000:]}")
        return ran.stdout

    def tillbook(self, *words: str) -> Any:
        out = self.run(sys.executable, "-m", "cli", *words, "--stack-name", NAME, "--json")
        return json.loads(out)

    def key(self, role: str) -> str:
        return str(self.tillbook("keys", "create", ACCOUNT, "--role", role, "--label", "smoke test")["secret"])


def rehearse(port: int) -> bool:
    # If this build fails, files of an earlier build must not be deployed.
    shutil.rmtree(ROOT / ".aws-sam" / "build", ignore_errors=True)
    with Rehearsal(port) as stack:
        stack.tillbook("account", "create", ACCOUNT)
        good = smoke(Smoke(stack.url, ACCOUNT, stack.key("ingest"), stack.key("admin")))
        report = stack.tillbook("audit", "--all")
        print(f"audit: {report['people']} people, {len(report['drift'])} with drift")
        stack.run(
            str(SAM),
            "delete",
            "--config-env",
            "dev",
            "--no-prompts",
            "--region",
            "us-east-1",
            "--s3-bucket",
            stack.bucket,
        )
        left = stack.boto3_client("dynamodb").list_tables()["TableNames"]
        print(f"tables that remain: {len(left)}")
        return good and not report["drift"] and not left


def main() -> None:
    runtime = templates.load(ROOT / "template.yaml")["Globals"]["Function"]["Runtime"]
    if runtime != f"python{sys.version_info[0]}.{sys.version_info[1]}":
        sys.exit(f"MiniStack runs functions on its own Python, but they need {runtime}: make setup PYTHON={runtime}")
    parser = argparse.ArgumentParser(prog="python -m deploy.rehearse", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port of the front door; a free one by default")
    sys.exit(0 if rehearse(parser.parse_args().port) else 1)


if __name__ == "__main__":
    main()

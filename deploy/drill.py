"""`python -m deploy.drill`: restores a local stack with `tillbook restore`, from end to end, and checks the result.

1. Shops send orders. The stack will be restored to the moment after this step.
2. A person is erased, an account is purged, a key is revoked, another key is created, and orders arrive that the
   restore will undo.
3. The stack is restored. The checks are about sums to the cent, erased people and purged accounts, keys, the book, the
   settings of the tables, and the stack itself.

MiniStack can restore only the present state of a table, so the tables are copied before step 2, which then changes the
old tables. The exit code is 1 if a check fails.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

# The package of the layer, which is not installed in a checkout.
sys.path.append(str(Path(__file__).resolve().parent.parent / "layers" / "shared"))

from cli.tillbook_cli.connection import Aws
from cli.tillbook_cli.restore import latest
from cli.tillbook_cli.restoring import Plan, Restoration, planned
from deploy.smoke import Reply, Smoke
from local.deploy import STACK
from local.stack import PARAMETERS, ROOT, Stack
from tillbook.records.accounts import Account, Accounts
from tillbook.records.keys import Keys
from tillbook.rules import times

PEOPLE, ERASED = 12, 2  # how many people order, and the number of the person who is erased
# On MiniStack, an update of the stack kills running functions. SQS delivers their messages again after six or seven
# minutes, which are the visibility time-outs of the two queues.
_LONGEST_WAIT_SECONDS = 900.0
_TABLES = ("LedgerTable", "RecordsTable", "BookTable")


@dataclass(frozen=True)
class Check:
    """The result of a check. `seen` is printed if it failed."""

    name: str
    good: bool
    seen: str


@dataclass
class Shop(Smoke):
    """An account with a key of each role, and the orders of a few people."""

    def person(self, number: int) -> str:
        return f"{self.account}-{number}@example.com"

    def order(self, number: int, total: str, name: str = "order") -> None:
        order = {"provider": "drill", "action": "placed", "currency": "USD", "grand_total": total}
        more = {"order_id": f"{name}-{number}", "email": self.person(number), "occurred_at": "2026-01-17T20:50:00Z"}
        self.send(order | more)

    def submit(self, number: int, total: str, name: str = "v1", key: str = "") -> Reply:
        order = {"order_id": f"{name}-{number}", "order_date": "2026-01-17", "total": total}
        return self.call("POST", "/v1/order", order | {"customer_email": self.person(number)}, key=key or self.ingest)

    def queue(self, number: int, total: str, name: str) -> None:
        """Sends an event without waiting until it is applied."""
        order = {"provider": "drill", "action": "placed", "currency": "USD", "grand_total": total}
        path = f"/v3/{self.account}/shopper_activity/order"
        body = order | {"order_id": f"{name}-{number}", "email": self.person(number)}
        self.expect(202, "POST", path, body, key=self.ingest, basic=True)

    def worths(self) -> dict[int, Decimal | None]:
        """Lifetime value in USD by number of the person; None for a person who does not exist."""
        found: dict[int, Decimal | None] = {}
        for number in range(PEOPLE):
            reply = self.call("GET", f"/v3/{self.account}/people/{self.person(number)}", key=self.admin)
            found[number] = Decimal(reply.json["lifetime_value"].get("USD", 0)) if reply.status == 200 else None
        return found

    def sold(self) -> Decimal:
        """The net revenue in the sales report."""
        report = self.read("/v1/reports/sales?from=2026-01-01&to=2026-01-31")
        return sum((Decimal(row["net"]) for row in report["rows"]), Decimal(0))


class Drill:
    def __init__(self, stack: Stack, say: Callable[[str], None] = print) -> None:
        self.stack, self.say = stack, say
        client, records = stack.boto3_client("dynamodb"), stack.outputs["RecordsTableName"]
        for name in ("LedgerTableName", "RecordsTableName"):  # MiniStack's CloudFormation does not switch this on
            client.update_continuous_backups(
                TableName=stack.outputs[name], PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
            )
        self.keys = Keys(client, records)
        for account in ("drill_a", "drill_b"):
            Accounts(client, records).create(Account(account))
        self.shop, self.purged = (self._shop(account) for account in ("drill_a", "drill_b"))
        self.before: dict[int, Decimal | None] = {}

    def _shop(self, account: str) -> Shop:
        ingest, admin = (self.keys.create(account, role)[1] for role in ("ingest", "admin"))
        return Shop(self.stack.url, account, ingest, admin)

    # ------------------------------------------------------------------------ changes

    def before_the_moment(self) -> None:
        """Sends the orders that the restore must keep."""
        for number in range(PEOPLE):
            self.shop.order(number, f"{number + 1}.25")
            assert self.shop.submit(number, f"{number + 1}.10").status == 201  # noqa: S101
        self.purged.order(0, "99.00")
        self.before = self.shop.worths()

    def after_the_moment(self) -> None:
        """Makes changes that the restore must undo, and changes that it must keep."""
        self.shop.order(0, "1000.00", "late")
        self.shop.submit(1, "2000.00", "late-v1")
        path = f"/v3/{self.shop.account}/people/{self.shop.person(ERASED)}"
        self.shop.expect(202, "DELETE", path, key=self.shop.admin)
        self.purged.expect(202, "DELETE", "/v1/transactions", {"confirm": "purge"}, key=self.purged.admin)
        revoked, self.revoked = self.keys.create(self.shop.account, "ingest")
        _, self.fresh = self.keys.create(self.shop.account, "ingest")
        self.keys.revoke(self.shop.account, revoked.id)

    def while_paused(self) -> Iterator[Check]:
        """Queues an order of the erased person and one of the purged account, the only ones that the restore must keep.

        Then checks that the Orders API is paused.
        """
        self.shop.queue(ERASED, "7.00", "again")
        self.purged.queue(0, "3.00", "again")
        reply = self.shop.submit(3, "1.00", "refused")
        yield Check("the Orders API refuses orders while intake is paused", reply.status == 503, str(reply.status))

    # -------------------------------------------------------------------- the restore

    def run(self) -> list[Check]:
        self.before_the_moment()
        aws = Aws(self.stack.boto3_client, "us-east-1", STACK)
        plan = planned(aws, latest(aws), {})
        restoration = Restoration(aws, plan, lambda text: self.say(f"         {text}"))
        for step in restoration.steps()[:2]:  # keep the template, copy the tables
            restoration.run(step)
        self.say(f"         restored to {times.iso(plan.moment)}; later changes are undone, and removals are repeated")
        self.after_the_moment()
        restoration.pause()
        found = list(self.while_paused())
        # The command continues the restore after the steps that this process ran, as if an operator ran it again.
        self.say(self.tillbook("restore", "--to", times.iso(plan.moment), "--yes"))
        self.stack.deploy()  # template.yaml, as any later deployment would
        return [*found, *self.contents(), *self.access(), *self.tables(plan)]

    def contents(self) -> Iterator[Check]:
        self.settle()
        after = self.shop.worths()
        # The erased person has only the order that was queued after the erasure.
        wanted = self.before | {ERASED: Decimal("7.00")}
        yield Check("each person has the lifetime value of that moment", after == wanted, f"{after} of {wanted}")
        gone = self.purged.worths()
        yield Check("purged orders stay purged", gone[0] == Decimal("3.00"), str(gone[0]))
        total = sum((worth for worth in after.values() if worth is not None), Decimal(0))
        # The report is of January, and the order of 7.00 that the erased person placed later has the date of today.
        self.until(lambda: self.shop.sold() + 7 == total, "the book")
        report = json.loads(self.tillbook("audit", "--all", "--json"))
        yield Check("an audit of everybody finds no drift", not report["drift"], json.dumps(report))

    def settle(self) -> None:
        """Waits until the jobs of the restore are done, and the orders in the queue are applied."""
        jobs = self.stack.boto3_client("dynamodb")
        table = self.outputs()["RecordsTableName"]

        def none_open() -> bool:
            found = jobs.query(
                TableName=table, KeyConditionExpression="pk = :pk", ExpressionAttributeValues={":pk": {"S": "jobs"}}
            )
            return not found["Items"]

        self.until(none_open, "the jobs of the restore")
        self.until(lambda: self.shop.worths()[ERASED] == Decimal("7.00"), "the order of the erased person")
        self.until(lambda: self.purged.worths()[0] == Decimal("3.00"), "the order of the purged account")

    def access(self) -> Iterator[Check]:
        refused = self.shop.submit(4, "1.00", "by-revoked", self.revoked).status
        yield Check("a key that was revoked after that moment stays revoked", refused == 403, str(refused))
        taken = self.shop.submit(5, "1.00", "by-fresh", self.fresh).status
        yield Check("a key that was created after that moment is valid", taken == 201, str(taken))

    def tables(self, plan: Plan) -> Iterator[Check]:
        outputs, client = self.outputs(), self.stack.boto3_client("dynamodb")
        for name in _TABLES:
            yield Check(f"the stack has the restored {name}", outputs[f"{name}Name"] == plan.new[name], plan.new[name])
            owner = self.stack.boto3_client("cloudformation").describe_stack_resources(
                StackName=STACK, LogicalResourceId=name
            )["StackResources"]
            yield Check(f"{name} belongs to the stack", owner[0]["PhysicalResourceId"] == plan.new[name], str(owner))
            backups = client.describe_continuous_backups(TableName=plan.new[name])["ContinuousBackupsDescription"]
            recovery = backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"]
            yield Check(f"{name} has point-in-time recovery", recovery == "ENABLED", recovery)
        alias = {"FunctionName": self.stack.resources["SubmitOrder"], "Qualifier": "live"}
        variables = self.stack.boto3_client("lambda").get_function_configuration(**alias)["Environment"]["Variables"]
        used = {name: variables[f"{name.removesuffix('Table').upper()}_TABLE"] for name in _TABLES}
        good = used == {name: plan.new[name] for name in _TABLES} and "RESTORE" not in variables
        yield Check("the function versions that routes call use the new tables", good, str(variables))
        expiry = client.describe_time_to_live(TableName=plan.new["RecordsTable"])["TimeToLiveDescription"]
        yield Check("records expire", expiry.get("AttributeName") == "ttl", str(expiry))
        stream = client.describe_table(TableName=plan.new["LedgerTable"])["Table"]["LatestStreamArn"]
        mappings = self.stack.boto3_client("lambda").list_event_source_mappings()["EventSourceMappings"]
        followed = [mapping["EventSourceArn"] for mapping in mappings if ":dynamodb:" in mapping["EventSourceArn"]]
        yield Check("the book follows only the new stream", followed == [stream], str(followed))
        states = {mapping["State"] for mapping in mappings}
        yield Check("every queue and stream invokes its function again", states == {"Enabled"}, str(states))

    # ------------------------------------------------------------------------ tools

    def outputs(self) -> dict[str, str]:
        stack = self.stack.boto3_client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    @staticmethod
    def until(done: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + _LONGEST_WAIT_SECONDS
        while not done():
            if time.monotonic() > end:
                raise SystemExit(f"{what}: not done after {_LONGEST_WAIT_SECONDS:.0f} s")
            time.sleep(0.2)

    def tillbook(self, *words: str) -> str:
        """Runs the command and returns its output. Raises SystemExit with the output if it fails."""
        environment = os.environ | {
            "AWS_ENDPOINT_URL": self.stack.endpoint_url, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1", "TILLBOOK_STACK": STACK,
        }  # fmt: skip
        started = time.monotonic()
        ran = subprocess.run(
            [sys.executable, "-m", "cli", *words],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        self.say(f"{time.monotonic() - started:6.1f} s  tillbook {' '.join(words)}")
        if ran.returncode:
            raise SystemExit(f"{ran.stdout}\n{ran.stderr}")
        return ran.stdout


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deploy.drill", description=__doc__)
    parser.parse_args()
    with Stack(parameters=PARAMETERS) as stack:
        checks = Drill(stack).run()
    for check in checks:
        print(f"{'holds' if check.good else 'FAILS'}  {check.name}" + ("" if check.good else f": {check.seen}"))
    sys.exit(0 if all(check.good for check in checks) else 1)


if __name__ == "__main__":
    main()

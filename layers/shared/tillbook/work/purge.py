"""Purge and erasure: orders go out through the ledger, page by page through the queue.

A mark says up to which receipt events are dropped that are still queued. What was being applied while the orders were
first walked through may have read the marks before: so they are walked through once more when none of that is alive.

The marks are those that marks.py reads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tillbook.aws.items import Item, plain_item, raw
from tillbook.ledger import table
from tillbook.ledger.ledger import Ledger
from tillbook.ledger.table import bucket as bucket_of
from tillbook.records.deadletters import DeadLetters
from tillbook.records.jobs import Jobs, Step
from tillbook.records.marks import order_purged_up_to, set_mark, take_order
from tillbook.records.messages import Message, Queue
from tillbook.records.transactions import Transactions
from tillbook.rules import times
from tillbook.views.audiences import Audiences, decode_cursor, encode_cursor

PURGE, ERASE = "purge", "erase"
SETTLE = "settle"
_PAGE_ORDERS = 50
_FORGET_SECONDS = 90
_BEHIND_ALL_ORDERS = encode_cursor(table.BUCKETS - 1, "z" * 22)


@dataclass(frozen=True, slots=True)
class Purges:
    """`settle_seconds`: after that long nothing is alive that may have read the marks before they were set."""

    client: Any
    ledger: Ledger
    jobs: Jobs
    queue: Queue
    dead_letters: DeadLetters
    transactions: Transactions
    records_table: str
    settle_seconds: int

    def start_purge(self, account: str, sources: list[str], before: str, received: str) -> str:
        """Of the orders first received up to `before` (a stamp; `received` for all of them). Returns a job's id."""
        orders = sum(Audiences(self.client, self.ledger.table, account).counts(source)[1] for source in sources)
        plan = [*sources, SETTLE, *sources]
        return self._start(Step(account, times.uuid7(), PURGE, plan, cut=received, before=before), orders)

    def start_erasure(self, account: str, person: str, received: str) -> str:
        """Everything of one person, by our own id. Returns a job's id."""
        plan = ["person", SETTLE, "person"]
        return self._start(Step(account, times.uuid7(), ERASE, plan, cut=received, person=person), 0)

    def _start(self, step: Step, total: int) -> str:
        """Queued before it is marked: a mark that no job follows would drop what is queued, and leave what stands."""
        self.jobs.start(step, total)
        self.queue.send(Message(steps=[step]))
        self._set_marks(step)
        return step.job

    def _set_marks(self, step: Step) -> None:
        if step.kind == ERASE:
            # And one of its own: whoever came between two erasures of one person knows the first alone.
            self._mark(step.account, f"p{step.person}", step.cut, step.cut)
            self._mark(step.account, f"p{step.person}+{step.cut}", step.cut, step.cut)
            return
        for source in dict.fromkeys(step.plan):
            if source != SETTLE:
                letter = table.SOURCE_LETTER[source]
                self._mark(step.account, letter, step.before, step.cut, seconds=None)
                # One of its own besides: of two purges neither says what the other takes.
                self._mark(step.account, f"{letter}+{step.cut}", step.before, step.cut)

    def _mark(self, account: str, name: str, cut: str, asked: str, **options: Any) -> None:
        key = raw({"pk": f"{account}/u", "sk": name})
        set_mark(self.client, self.records_table, key, cut, asked, **options)

    # ----------------------------------------------------------------- steps

    def run(self, step: Step, clock: Callable[[], float], deadline: float) -> None:
        """One page, then the next message, then the job's progress."""
        if not self.jobs.is_current(step):
            return
        page = {PURGE: self._purge_page, ERASE: self._erase_page}[step.kind]
        if step.page == 0:
            self._set_marks(step)  # the request may have died before it did
        cursor, done = page(step, clock, deadline)
        if SETTLE not in step.plan:
            done = 0  # the second walk finds what the first one counted, or next to nothing
        following, pause = step.then(cursor, done), 0
        if following is not None and following.source == SETTLE:
            following, pause = following._replace(plan=following.plan[1:]), self.settle_seconds
        if following is not None:
            self.queue.send(Message(steps=[following]), delay_seconds=pause)
        self.jobs.advance(step, done, finished=following is None)

    def _purge_page(self, step: Step, clock: Callable[[], float], deadline: float) -> tuple[str | None, int]:
        bucket, after = decode_cursor(step.cursor)
        page: list[tuple[str, list[Item]]] = []
        cursor: str | None = None
        walk = Audiences(self.client, self.ledger.table, step.account).orders(step.source, bucket, after, deleted=True)
        for pk, key, items in walk:
            page.append((key, items))
            if len(page) == _PAGE_ORDERS:
                cursor = encode_cursor(int(pk.rpartition("/")[2], 16), key)
                break
        people = {str(event["gp"]).rpartition("/")[2] for _, items in page for event in items if "gp" in event}
        if people:
            # Sent before: where the function dies after an order is out, nothing names its people any more.
            later = Message(forget=[[step.account, *sorted(people)]])
            self.queue.send(later, delay_seconds=_FORGET_SECONDS)
        for done, (key, items) in enumerate(page, 1):
            people |= self._remove(step, key, items, deadline)
            if done < len(page) and clock() > deadline - 20:
                cursor = encode_cursor(bucket_of(key), key)
                page = page[:done]
                break
        for person in people:
            self.ledger.forget(step.account, person, deadline)
        if cursor is None and SETTLE not in step.plan and not self._forget_outcomes(step, clock, deadline):
            cursor = _BEHIND_ALL_ORDERS
        return cursor, len(page)

    def _forget_outcomes(self, step: Step, clock: Callable[[], float], deadline: float) -> bool:
        """In the second walk: before that, some may still be on their way. A month of them takes several pages."""

        def may_go_on() -> bool:
            return clock() < deadline - 20

        if not self.dead_letters.purge(step.account, step.source, step.before, may_go_on):
            return False
        return self.transactions.purge(step.account, step.source, step.before, may_go_on)

    def _remove(self, step: Step, key: str, items: list[Item], deadline: float) -> set[str]:
        if step.source == "orders_api":
            # An order's life in v1 starts with its submission: an earlier one of the same id was deleted.
            return self.ledger.remove_order(step.account, key, step.before, deadline)
        first, begun = min(map(_received, items[:-1]), default=""), step.before
        if first > step.before:  # most of a purge up to a date: not read again
            # In the second walk it may be of an order that is out: it was being applied while that was taken.
            if SETTLE in step.plan or not first <= step.cut or self._taken_up_to(step, key) < first:
                return set()
            begun = ""

        def goes() -> None:
            """Marked first: what came for it after the date may be delivered again when it is out."""
            if step.before < step.cut:
                take_order(self.client, self.records_table, step.account, key, step.cut)

        return self.ledger.remove_activities(
            step.account, key, lambda e: _received(e) <= step.cut, deadline, begun=begun, goes=goes
        )

    def _taken_up_to(self, step: Step, key: str) -> str:
        return order_purged_up_to(self.client, self.records_table, step.account, key)

    def _erase_page(self, step: Step, clock: Callable[[], float], deadline: float) -> tuple[str | None, int]:
        gp = table.person_pk(step.account, step.person)
        arguments: dict[str, Any] = {
            "TableName": self.ledger.table, "IndexName": table.TIMELINE, "Limit": _PAGE_ORDERS,
            "KeyConditionExpression": "gp = :gp AND gs > :after",
            "ExpressionAttributeValues": {":gp": {"S": gp}, ":after": {"S": step.cursor or " "}},
        }  # fmt: skip
        answer = self.client.query(**arguments)
        events = [plain_item(item) for item in answer["Items"]]
        done = 0
        for event in events:
            self._erase_event(step, event, gp, deadline)
            done += 1
            if clock() > deadline - 20:
                break
        if done < len(events) or "LastEvaluatedKey" in answer:
            return str(events[done - 1]["gs"]), done
        self.ledger.forget(step.account, step.person, deadline)
        self.dead_letters.erase(step.account, step.person, step.cut)
        return None, done

    def _erase_event(self, step: Step, event: Item, gp: str, deadline: float) -> None:
        key = str(event["sk"]).partition("!")[0]
        if str(event["pk"]).split("/")[1] == "s":
            self.ledger.remove_activities(
                step.account, key, lambda e: e.get("gp") == gp and _received(e) <= step.cut, deadline
            )
            return
        # Those of its earlier versions may have nothing left then. Sent before, as in a purge.
        others = self.ledger.named_in(step.account, key, deadline) - {step.person}
        if others:
            later = Message(forget=[[step.account, *sorted(others)]])
            self.queue.send(later, delay_seconds=_FORGET_SECONDS)
        self.ledger.remove_order(step.account, key, step.cut, deadline, person=step.person)
        self.ledger.redact_versions(step.account, key, step.person, step.cut, deadline)


def _received(event: Item) -> str:
    return str(event["gs"])[20:40]

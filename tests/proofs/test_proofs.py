"""The invariants hold in the fast scenarios, which detect each missing rule and use the code's conditions."""

from __future__ import annotations

from typing import Any, cast

import pytest

from tests.proofs.engine import moment
from tests.proofs.removals import ACCOUNT, ANN_ID
from tests.proofs.rules import RULES, conditions, without
from tests.proofs.scenarios import FAST
from tests.proofs.store import condition
from tillbook.ledger import writes
from tillbook.ledger.commit import Retries, Store
from tillbook.ledger.items import PersonItem, Scope
from tillbook.ledger.orders import Document, Submit, V1Request
from tillbook.records import scopes
from tillbook.records.jobs import Job
from tillbook.records.scopes import Mark, Marks, Scopes
from tillbook.rules import times
from tillbook.work.jobs import Page
from tillbook.work.purge import PURGE, Purges

# For each rule or condition, a scenario that detects its absence.
DETECTED_BY = {rule: name for name, scenario in FAST.items() for rule in scenario.finds}


@pytest.mark.parametrize("name", FAST)
def test_invariants_hold_in_every_state_of_a_scenario(name: str) -> None:
    report = FAST[name].run()
    assert not report.wrong, report.trace
    assert report.ends > 20  # so many final states show that the actors interleave


@pytest.mark.parametrize("rule", DETECTED_BY)
def test_a_missing_rule_is_detected(rule: str) -> None:
    report = FAST[DETECTED_BY[rule]].run(rule)
    assert report.wrong
    # An invariant must be violated: an exception of the code would prove nothing about the rule.
    assert "the code fails" not in report.wrong, report.trace


def test_each_rule_and_condition_has_a_scenario_that_detects_its_absence() -> None:
    assert conditions().keys() >= {"HEAD_IS_NEW", "HEAD_AS_READ", "EVENT_IS_NEW", "EVENT_AS_READ", "CUT_IS_LATER"}
    assert DETECTED_BY.keys() == {*RULES, *conditions()}


def test_an_unknown_rule_cannot_be_left_out() -> None:
    with pytest.raises(ValueError, match="no such rule: else"):
        without("settle", "else")


def test_the_models_use_the_conditions_of_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not FAST["three copies"].run().wrong
    # With another condition in the code, copies of an event count more than once.
    monkeypatch.setattr(writes, "EVENT_IS_NEW", "attribute_not_exists(effects)")
    assert FAST["three copies"].run().wrong
    monkeypatch.setattr(writes, "EVENT_IS_NEW", "attribute_type(pk, :seen)")
    with pytest.raises(ValueError, match="unknown condition"):
        FAST["three copies"].run()


def test_conditions_are_interpreted_as_by_dynamodb() -> None:
    items = [None, Mark(), Mark(cut="5")]
    assert [condition("attribute_not_exists(pk)")(item, None) for item in items] == [True, False, False]
    assert [condition("cut = :seen")(item, "5") for item in items] == [False, False, True]
    assert [condition(scopes.CUT_IS_LATER)(item, "5") for item in items] == [True, True, False]
    assert condition(scopes.CUT_IS_LATER)(Mark(cut="5"), "6")


def test_writing_marks_and_deleting_persons_use_the_conditions_of_the_models(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []

    class Client:
        def update_item(self, **arguments: Any) -> None:
            sent.append(arguments["ConditionExpression"])

    monkeypatch.setattr(scopes, "COMMIT_WAIT_SECONDS", 0.2)
    Scopes(Client(), "table").purge(ACCOUNT, ["orders_api"], 1e9)
    Scopes(Client(), "table").erase(ACCOUNT, [ANN_ID], 1e9)
    # A purge writes its mark, and then that it was answered; an erasure writes its mark.
    assert sent == [scopes.CUT_IS_LATER, scopes.ANSWER_IS_LATER, scopes.CUT_IS_LATER]
    person = PersonItem("email", "ann", "token", {})
    delete = writes.forget_person("table", Scope(ACCOUNT, "orders_api"), ANN_ID, person)["Delete"]
    assert delete["ConditionExpression"] == writes.PERSON_AS_READ


def test_a_page_of_a_purge_sweeps_only_what_the_mark_that_it_reads_first_covers() -> None:
    swept: list[str] = []

    class Parts:
        """Replaces all services of a job. A second purge writes its mark after the first one was read."""

        early, late = "20200101" + "0" * 12, times.now()
        marks = iter([Mark(1, early, early), Mark(2, late, late)])

        def read(self, account: str, *_: Any) -> Marks:
            return Marks(account, {"orders_api": next(self.marks)}, {})

        def partitions(self, *_: Any) -> list[str]:
            return []

        def sweep(self, partition: str, *_: Any) -> tuple[int, bool]:
            swept.append(partition)
            return 0, True

        def __getattr__(self, name: str) -> Any:
            return lambda *_, **__: True

    parts = cast(Any, Parts())
    purges = Purges(parts, parts, parts, parts, parts, parts, parts, settle_seconds=120)
    job = Job(PURGE, "running", "2020", "orders_api")
    purges.page(Page(ACCOUNT, "job", job, 0, "", lambda: True, 1e9))
    assert {Scope.of(partition).generation for partition in swept} == {0}


def test_an_unanswered_call_reads_the_head_before_it_looks_for_its_version() -> None:
    calls: list[str] = []

    class Reads:
        def __getattr__(self, name: str) -> Any:
            calls.append(name)
            return lambda *_, **__: [] if name == "events" else None

    request = V1Request(Scope(ACCOUNT, "orders_api"), "r", moment(1), lambda people: {})
    call = Submit(request, Document("1", {}, moment(0)), "id", "digest")
    call.store, call.retries, call.unanswered = cast(Store, Reads()), cast(Retries, None), True
    call.plan({})
    assert calls == ["head", "events", "transaction"]

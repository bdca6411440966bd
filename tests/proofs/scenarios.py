"""Scenarios of a few interleaving requests. pytest runs those in `FAST`, `python -m tests.proofs` runs all."""

from __future__ import annotations

from typing import Any, NamedTuple

from tests.proofs.activities import ActivityWorld, Message, Sent
from tests.proofs.engine import Report, State, Turn, explore
from tests.proofs.orders import Asked, Call, OrderWorld
from tests.proofs.removals import ANN, ANN_ID, BOB, PURGES, Removal
from tests.proofs.rules import without


class Scenario(NamedTuple):
    """`lost`: how many answers of transactions may be lost. `before`: how many of the actors are done at the start.

    `finds`: rules whose absence this scenario detects, by their names in rules.py or in ledger/writes.py.
    """

    actors: tuple[Any, ...]
    lost: int = 0
    before: int = 0
    finds: tuple[str, ...] = ()

    def run(self, *left_out: str, shortest: bool = False) -> Report:
        """Explores the scenario without the rules in `left_out`."""
        kind = ActivityWorld if any(isinstance(actor, Message) for actor in self.actors) else OrderWorld
        with without(*left_out):
            world, state = kind(left_out), State(self.actors)
            for number in range(self.before):
                while state.actors[number].step != "done":
                    _, state = next(world.steps_of(Turn(state, number, state.actors[number])))
            return explore(world, state._replace(lost=self.lost), shortest=shortest)


def _killed(actor: Any) -> Any:
    """The actor, with a function that may be killed once."""
    return actor._replace(kills=1)


def _again(message: Message) -> Message:
    """The message, which may be delivered once more."""
    return message._replace(again=1)


PURGE, ERASE = Removal(PURGES), Removal(ANN_ID)

# Messages: three copies of one event, others of the same order, two contents under one idempotency key.
A1, A2, A3 = (Message(Sent("a", request, ANN, occurred=5, total=100)) for request in ("a1", "a2", "a3"))
BOBS = Message(Sent("b", "b1", BOB, occurred=5, total=70))
REFUND = Message(Sent("r", "r1", BOB, occurred=5, refund=30, action="refunded"))
UPDATE = Message(Sent("u", "u1", ANN, occurred=6, total=40, action="updated"))
LATEST = Message(Sent("l", "l1", BOB, occurred=9, total=70))
VOID, VOID_AGAIN = (Message(Sent("v", request, None, occurred=6, action="voided")) for request in ("v1", "v2"))
EARLIER = Message(Sent("e", "e1", ANN, occurred=4, total=20))
K1, K3 = (Message(Sent("k", request, ANN, occurred=5, total=100, content="x")) for request in ("k1", "k3"))
K2 = Message(Sent("k", "k2", BOB, occurred=5, total=70, content="y"))

# Calls: submissions, edits and a deletion of one order.
SUBMIT, SAME = (Call(Asked("submitted", request, ANN, 100)) for request in ("s1", "s2"))
OTHER, OF_BOB = Call(Asked("submitted", "s2", ANN, 70)), Call(Asked("submitted", "s2", BOB, 70))
EDIT, EDIT_TO_BOB = Call(Asked("edited", "e1", total=40)), Call(Asked("edited", "e1", BOB, 100))
EDIT_BACK, DELETE = Call(Asked("edited", "e2", ANN, 90)), Call(Asked("deleted", "d1"))

FAST = {
    "three copies": Scenario((A1, A2, A3), 1, finds=("EVENT_AS_READ",)),
    "copies, a purge": Scenario(
        (_killed(A1), A2, PURGE), 1, finds=("move to the first receipt", "EVENT_IS_NEW", "CUT_IS_LATER")),
    "copies, an erasure": Scenario(
        (A1, A2, ERASE), 1, finds=("events stay", "erased events keep ids", "delete the person of an erased event")),
    "copies, another event, a purge": Scenario((A1, A2, BOBS, PURGE), finds=("HEAD_IS_NEW",)),
    "copies, a refund": Scenario((_killed(A1), _again(A2), _again(REFUND)), 1),
    "copies, a killed purge": Scenario(
        (A1, A2, _killed(PURGE)), 1, finds=("commit wait", "fail without a mark", "repeat the purge")),
    "an event, two purges": Scenario(
        (A1, PURGE, PURGE), 1, finds=("settle", "newest mark", "read the mark once", "ANSWER_IS_LATER")),
    "two contents of a key, a purge": Scenario((K1, K2, K3, PURGE), finds=("content under a key",)),
    "two events, an erasure": Scenario((A1, UPDATE, ERASE), finds=("PERSON_AS_READ",)),
    "an event that makes the order Bob's, two earlier ones, an erasure": Scenario(
        (LATEST, _again(A1), EARLIER, ERASE), before=1, finds=("unique tokens", "items, not the index")),
    "an event, a voided one, an erasure": Scenario((A1, VOID, ERASE)),
    "submit twice, an erasure": Scenario(
        (SUBMIT, SAME, ERASE), 1,
        finds=("emptying is a write", "skip emptied versions", "erased orders do not exist", "HEAD_AS_READ")),
    "submit, edit to Bob, an erasure": Scenario(
        (SUBMIT, EDIT_TO_BOB, ERASE), 1,
        finds=("heads stay", "monotone receipts", "refused by an erasure", "remove the digest")),
    "submit, delete, edit to Bob": Scenario(
        (SUBMIT, DELETE, EDIT_TO_BOB), 2, finds=("look for own version", "head before own version")),
    "submit, edit to Bob, a killed purge": Scenario(
        (SUBMIT, EDIT_TO_BOB, _killed(PURGE)), 1, finds=("refused by a purge",)),
}  # fmt: skip
SCENARIOS = FAST | {
    "copies, one redelivered, a purge, two lost answers": Scenario((_killed(A1), _again(A2), PURGE), 2),
    "copies, one redelivered, an erasure, a lost answer": Scenario((_killed(A1), _again(A2), ERASE), 1),
    "copies, another event, a purge, a lost answer": Scenario((A1, A2, BOBS, PURGE), 1),
    "copies, another event, an erasure": Scenario((A1, A2, BOBS, ERASE)),
    "copies, a purge, an erasure": Scenario((A1, A2, PURGE, ERASE)),
    "two events, an erasure, a lost answer": Scenario((A1, _again(UPDATE), ERASE), 1),
    "an event, two copies of a voided one, an erasure": Scenario((A1, VOID, VOID_AGAIN, ERASE)),
    "copies, two purges": Scenario((A1, A2, PURGE, PURGE)),
    "an event, two purges, one killed": Scenario((A1, _killed(PURGE), PURGE), 1),
    "two contents of a key, a purge, a lost answer": Scenario((K1, K2, K3, PURGE), 1),
    "two contents of a key, an erasure": Scenario((K1, K2, K3, ERASE)),
    "submit twice, an erasure, two lost answers": Scenario((SUBMIT, SAME, ERASE), 2),
    "two submissions, an erasure": Scenario((SUBMIT, OTHER, ERASE), 2),
    "submit, edit, submit, an erasure": Scenario((SUBMIT, EDIT, SAME, ERASE)),
    "submit, edit to Bob and back, an erasure": Scenario((SUBMIT, EDIT_TO_BOB, EDIT_BACK, ERASE)),
    "submit, delete, submit, an erasure": Scenario((SUBMIT, DELETE, OF_BOB, ERASE)),
    "submit, edit to Bob, submit, a purge": Scenario((SUBMIT, EDIT_TO_BOB, OTHER, PURGE)),
    "submit, delete, edit to Bob, submit": Scenario((SUBMIT, DELETE, EDIT_TO_BOB, OF_BOB), 1),
    "submit, edit to Bob, a purge, an erasure": Scenario((SUBMIT, EDIT_TO_BOB, PURGE, ERASE)),
    "submit, two purges, one killed": Scenario((SUBMIT, _killed(PURGE), PURGE), 1),
}

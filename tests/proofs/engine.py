"""Explores a world: every state that any order of steps leads to, each once."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

from tests.proofs.store import Items, Writes


class Began(NamedTuple):
    """The marks at the moment when somebody began: whoever began before a mark may act as if there was none."""

    generation: int
    cut: str  # of the erased person


class Late(NamedTuple):
    """A transaction whose answer was lost and which was not written yet. `actor` sent it."""

    writes: Writes
    began: Began | None
    actor: int


class State(NamedTuple):
    """Attributes:
    actors: who takes steps; those whose step is `done` take none, unless they may do it `again`.
    clock: counts receipts. items: what is stored. late: transactions that may be written yet.
    lost: how many answers may be lost yet. tokens: how many transactions gave persons a new one.
    """

    actors: tuple[Any, ...]
    clock: int = 0
    items: Items = Items()
    late: tuple[Late, ...] = ()
    lost: int = 0
    tokens: int = 0

    @property
    def over(self) -> bool:
        return not self.late and all(actor.step == "done" for actor in self.actors)

    def having(self, number: int, actor: Any) -> State:
        return self._replace(actors=(*self.actors[:number], actor, *self.actors[number + 1 :]))


Step = tuple[str, State]  # what somebody did, and what came of it
Steps = Iterator[Step]


class Turn(NamedTuple):
    """An actor's, in a state: what it does makes the next one."""

    state: State
    number: int
    actor: Any

    @property
    def items(self) -> Items:
        return self.state.items

    def then(self, what: str, **changes: Any) -> Step:
        return self.become(what, self.actor._replace(**changes))

    def become(self, what: str, actor: Any) -> Step:
        return what, self.state.having(self.number, actor)

    def at(self, clock: int) -> Turn:
        return self._replace(state=self.state._replace(clock=clock))


def moment(clock: int) -> str:
    """A number as a stamp (rules.times)."""
    return f"{clock:020d}"


class World:
    """The possible next steps: the method `_apply` yields all results of a step `apply`."""

    def __init__(self, rules_left_out: tuple[str, ...]) -> None:
        self.left_out = frozenset(rules_left_out)
        self.written, self.wrong_items = cache(Items.written), cache(self._wrong_items)

    def keeps(self, rule: str) -> bool:
        return rule not in self.left_out

    def steps(self, state: State) -> Steps:
        for number, actor in enumerate(state.actors):
            if actor.step != "done" or actor.again:
                for what, after in self.steps_of(Turn(state, number, actor)):
                    yield f"{number} {actor.step}: {what}", after
        for number, late in enumerate(state.late):
            left = state._replace(late=state.late[:number] + state.late[number + 1 :])
            yield f"late write of {late.actor} arrives", self.transact(left, late.writes)[0]
            yield f"late write of {late.actor} is lost", left

    def steps_of(self, turn: Turn) -> Steps:
        yield from getattr(self, f"_{turn.actor.step}")(turn)

    def _wrong_items(self, items: Items) -> str:
        """Describes a violated invariant; empty if all hold."""
        raise NotImplementedError

    def wrong_at_end(self, state: State) -> str:
        raise NotImplementedError

    def transact(self, state: State, writes: Writes) -> tuple[State, dict[Any, Any] | None]:
        tokens = state.tokens + any(write.add for write in writes) if self.keeps("new token") else 0
        items, failed = self.written(state.items, writes, tokens)
        return (state, failed) if failed else (state._replace(items=items, tokens=tokens), None)

    def attempt(
        self, turn: Turn, writes: Writes, *, written: Any, unanswered: Any, refused: Callable[[dict[Any, Any]], Any]
    ) -> Steps:
        """All that may become of a transaction, and what the actor is then."""
        state, number = turn.state, turn.number
        after, failed = self.transact(state, writes)
        yield turn.become("refused", refused(failed)) if failed else ("written", after.having(number, written))
        if state.lost:
            if failed is None:
                yield "written, the answer is lost", after._replace(lost=state.lost - 1).having(number, unanswered)
            late = Late(writes, turn.actor.began, number)
            yield "no answer", state._replace(lost=state.lost - 1, late=(*state.late, late)).having(number, unanswered)

    def settled(self, state: State, generation: int = 0, cut: str = "") -> bool:
        """Whether all that began before this mark has ended, and what it sent was written or never will be."""
        began = [x.began for x in (*state.actors, *state.late) if x.began]
        return not self.keeps("settle") or all(b.generation >= generation and b.cut >= cut for b in began)


class Report(NamedTuple):
    """`wrong` is empty if all holds; else `trace` leads to it. `ends`: how many states in which all is over.
    `seconds` of the processor."""

    wrong: str
    trace: list[str]
    states: int
    transitions: int
    ends: int
    seconds: float


def explore(world: World, start: State, *, shortest: bool = False) -> Report:
    """`shortest`: the trace, if there is one. It is found later."""
    began, transitions, ends = time.process_time(), 0, 0
    origin: dict[State, Step | None] = {start: None}
    left, wrong, state = deque([start]), "", start
    while left and not wrong:
        state = left.popleft() if shortest else left.pop()
        ends += state.over
        wrong = world.wrong_items(state.items) or (world.wrong_at_end(state) if state.over else "")
        following: list[Step] = []
        try:
            following += world.steps(state) if not wrong else ()
        except (AttributeError, KeyError) as error:  # the code reads something that it relies on, and it is gone
            wrong = f"the code fails: {error}"
        if not following and not state.over:
            wrong = wrong or "nobody can go on"
        transitions += len(following)
        for what, after in following:
            if after not in origin:
                origin[after] = what, state
                left.append(after)
    trace: list[str] = []
    while wrong and (step := origin[state]):
        trace.insert(0, step[0])
        state = step[1]
    return Report(wrong, trace, len(origin), transitions, ends, time.process_time() - began)

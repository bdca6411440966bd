"""Explores a world: visits every reachable state once."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

from tests.proofs.store import Items, Writes


class Began(NamedTuple):
    """The marks when an actor began. An actor that began before a mark may act as if the mark did not exist."""

    generation: int
    cut: str  # of the erased person


class Late(NamedTuple):
    """A transaction whose answer was lost and which is not written yet. `actor`: the number of its sender."""

    writes: Writes
    began: Began | None
    actor: int


class State(NamedTuple):
    """A state of the world.

    Attributes:
        actors: take steps. An actor whose step is `done` takes none, unless it may begin `again`.
        clock: counts receipts.
        items: the stored items.
        late: transactions that may still be written.
        lost: how many more answers may be lost.
        tokens: how many transactions have given a person a new token.
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
        """The state with this actor in the place of the one with this number."""
        return self._replace(actors=(*self.actors[:number], actor, *self.actors[number + 1 :]))


Step = tuple[str, State]  # a description, and the state after the step
Steps = Iterator[Step]


class Turn(NamedTuple):
    """An actor that may take a step in a state. Its methods make the next state."""

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
    """The number as a time stamp (see rules.times)."""
    return f"{clock:020d}"


class World:
    """Defines the possible steps: a method `_apply` yields all results of the step `apply`, and so on."""

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
            rest = state._replace(late=state.late[:number] + state.late[number + 1 :])
            yield f"late write of {late.actor} arrives", self.transact(rest, late.writes)[0]
            yield f"late write of {late.actor} is lost", rest

    def steps_of(self, turn: Turn) -> Steps:
        yield from getattr(self, f"_{turn.actor.step}")(turn)

    def _wrong_items(self, items: Items) -> str:
        """Describes an invariant that these items violate; empty if all hold."""
        raise NotImplementedError

    def wrong_at_end(self, state: State) -> str:
        """Describes an invariant that this final state violates; empty if all hold."""
        raise NotImplementedError

    def transact(self, state: State, writes: Writes) -> tuple[State, dict[Any, Any] | None]:
        """The state after the writes, and None; or the same state, and the items on which conditions failed, by key."""
        tokens = state.tokens + any(write.add for write in writes) if self.keeps("unique tokens") else 0
        items, failed = self.written(state.items, writes, tokens)
        return (state, failed) if failed else (state._replace(items=items, tokens=tokens), None)

    def attempt(
        self, turn: Turn, writes: Writes, *, written: Any, unanswered: Any, refused: Callable[[dict[Any, Any]], Any]
    ) -> Steps:
        """Yields all possible results of a transaction.

        `written`, `unanswered`: the actor after it. `refused`: makes the actor from the items whose conditions failed.
        """
        state, number = turn.state, turn.number
        after, failed = self.transact(state, writes)
        yield turn.become("refused", refused(failed)) if failed else ("written", after.having(number, written))
        if state.lost:
            if failed is None:
                yield "written, the answer is lost", after._replace(lost=state.lost - 1).having(number, unanswered)
            late = Late(writes, turn.actor.began, number)
            yield "no answer", state._replace(lost=state.lost - 1, late=(*state.late, late)).having(number, unanswered)

    def settled(self, state: State, generation: int = 0, cut: str = "") -> bool:
        """Whether every actor that began before this mark has ended, with none of its transactions still on the way."""
        began = [x.began for x in (*state.actors, *state.late) if x.began]
        return not self.keeps("settle") or all(b.generation >= generation and b.cut >= cut for b in began)


class Report(NamedTuple):
    """`wrong`: the violated invariant, or empty; `trace`: the steps to it. `ends`: the number of final states.

    `seconds`: of processor time.
    """

    wrong: str
    trace: list[str]
    states: int
    transitions: int
    ends: int
    seconds: float


def explore(world: World, start: State, *, shortest: bool = False) -> Report:
    """Visits all states until an invariant is violated. `shortest`: finds the shortest trace, which takes longer."""
    began, transitions, ends = time.process_time(), 0, 0
    # How each state was reached: the step's description, and the state before it.
    origin: dict[State, tuple[str, State] | None] = {start: None}
    unvisited, wrong, state = deque([start]), "", start
    while unvisited and not wrong:
        state = unvisited.popleft() if shortest else unvisited.pop()
        ends += state.over
        wrong = world.wrong_items(state.items) or (world.wrong_at_end(state) if state.over else "")
        following: list[Step] = []
        try:
            following += world.steps(state) if not wrong else ()
        except (AttributeError, KeyError) as error:  # the code relies on an item that does not exist
            wrong = f"the code fails: {error}"
        if not following and not state.over:
            wrong = wrong or "no actor can take a step"
        transitions += len(following)
        for what, after in following:
            if after not in origin:
                origin[after] = what, state
                unvisited.append(after)
    trace: list[str] = []
    while wrong and (step := origin[state]):
        trace.insert(0, step[0])
        state = step[1]
    return Report(wrong, trace, len(origin), transitions, ends, time.process_time() - began)

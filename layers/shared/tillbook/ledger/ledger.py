"""The only writer of orders, their events and LTV.

Every call may be repeated. Deadlines are in seconds of the pace's clock; Unavailable is raised where the time does not
suffice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tillbook.ledger.activities import Activity, Apply, Erased, Result
from tillbook.ledger.commit import Retries, Store
from tillbook.ledger.items import Scope
from tillbook.ledger.orders import Delete, Document, Edit, Submit, V1Order, V1Request, written_version
from tillbook.ledger.upkeep import DocumentOf, Empty, Forget, Rebuild, sweep
from tillbook.rules.effects import Effect, effects_in
from tillbook.rules.json_text import Json


class Ledger(Store):
    def apply(
        self, scope: Scope, activities: Sequence[Activity], deadline: float, erased: Erased = lambda activity: False
    ) -> list[Result | Exception]:
        """v3 events, each once, for ever, many in one transaction. Returns what became of each, or the error it met.

        `erased` says whether an erasure takes an event: then its identity alone is written.
        """
        operation = Apply(scope, activities, erased)
        try:
            self.run(operation, deadline)
        except Exception as error:
            return [error if result is None else result for result in operation.results]
        return [result for result in operation.results if result is not None]

    def submit(self, request: V1Request, document: Document, *, new_id: str, digest: str, deadline: float) -> V1Order:
        """A new v1 order; or the first answer again if the same order was submitted before (same `digest`).

        Raises Conflict if the order_id is taken by another submission.
        """
        return self.run(Submit(request, document, new_id, digest), deadline).answer

    def edit(
        self, request: V1Request, order_id: str, revise: Callable[[dict[str, Json]], Document], deadline: float
    ) -> V1Order:
        """Replaces the order's body by what `revise` makes of it, if that is another one.

        `revise` may run several times; what it raises passes through. Raises NotFound.
        """
        return self.run(Edit(request, order_id, revise), deadline).answer

    def delete(self, request: V1Request, order_id: str, deadline: float) -> V1Order:
        """Returns the order as it was. Raises NotFound."""
        return self.run(Delete(request, order_id), deadline).answer

    def written(
        self, scope: Scope, order_key: str, request_id: str, received: str, deadline: float
    ) -> list[Effect] | None:
        """What a v1 request's write did to the sums; None if it was not written."""
        found = written_version(self, scope, order_key, request_id, received, Retries(self.pace, deadline))
        return effects_in(found[1].effects) if found else None

    def empty(
        self, scope: Scope, order_key: str, person: str, cut: str, may_go_on: Callable[[], bool], deadline: float
    ) -> tuple[int, bool]:
        """Empties what an order says of a person and was received up to `cut`. Returns how many events, and whether
        that is all of them."""
        operation = self.run(Empty(scope, order_key, person, cut, may_go_on), deadline)
        return operation.emptied, operation.through

    def forget(self, scope: Scope, person: str, deadline: float) -> bool:
        """Deletes a person who has no order and no activity. Returns whether they are gone."""
        return self.run(Forget(scope, person), deadline).result

    def rebuild(self, scope: Scope, order_key: str, document_of: DocumentOf, deadline: float) -> bool:
        """Computes an order's head again from its events. Returns whether it was another."""
        return self.run(Rebuild(scope, order_key, document_of), deadline).changed

    def sweep(self, partition: str, may_go_on: Callable[[], bool], deadline: float) -> tuple[int, bool]:
        """Deletes a partition of a dead scope. Returns how many items, and whether that is all of them."""
        return sweep(self, partition, may_go_on, Retries(self.pace, deadline))

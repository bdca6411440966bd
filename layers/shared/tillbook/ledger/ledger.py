"""The only writer of orders, their events and LTV.

Every call may be repeated. Deadlines are in seconds of `pace.clock`, usually time.monotonic. If there is not enough
time, a call raises Unavailable; `apply` returns it for the events that are left. Modules that v1 requests do not need
are imported on use, so that the functions of v1 start sooner.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tillbook.ledger.commit import Retries, Store
from tillbook.ledger.items import Scope
from tillbook.ledger.orders import Delete, Document, Edit, Submit, V1Order, V1Request
from tillbook.rules.json_text import Json

if TYPE_CHECKING:
    from tillbook.ledger.activities import Activity, Erased, Result
    from tillbook.ledger.upkeep import DocumentOf


class Ledger(Store):
    def apply(
        self, scope: Scope, activities: Sequence[Activity], deadline: float, is_erased: Erased = lambda activity: False
    ) -> list[Result | Exception]:
        """Applies v3 events, each exactly once, many in one transaction. Returns the result or the error of each.

        `is_erased` returns whether an erasure removes an event; such an event is written without its content.
        """
        from tillbook.ledger.activities import Apply

        operation = Apply(scope, activities, is_erased)
        try:
            self.run(operation, deadline)
        except Exception as error:
            return [error if result is None else result for result in operation.results]
        return [result for result in operation.results if result is not None]

    def submit(self, request: V1Request, document: Document, *, new_id: str, digest: str, deadline: float) -> V1Order:
        """Creates a v1 order. If the same order was submitted before (same `digest`), returns the first answer.

        Raises Conflict if the order_id belongs to another submission, or if the order has reached its size limit.
        """
        return self.run(Submit(request, document, new_id, digest), deadline).answer

    def edit(
        self, request: V1Request, order_id: str, revise: Callable[[dict[str, Json]], Document], deadline: float
    ) -> V1Order:
        """Replaces an order's body by the document that `revise` returns for it. Writes nothing if they are equal.

        `revise` may be called several times; its exceptions are passed on. Raises NotFound, and Conflict if the order
        has reached its size limit.
        """
        return self.run(Edit(request, order_id, revise), deadline).answer

    def delete(self, request: V1Request, order_id: str, deadline: float) -> V1Order:
        """Deletes an order. Returns its last state before the deletion. Raises NotFound."""
        return self.run(Delete(request, order_id), deadline).answer

    def empty(
        self, scope: Scope, order_key: str, person: str, cut: str, may_go_on: Callable[[], bool], deadline: float
    ) -> tuple[int, bool]:
        """Empties those events of an order that name a person and were received up to `cut`.

        Returns the number of emptied events, and whether no such event is left. `may_go_on` is called before each
        transaction, and returns whether to continue.
        """
        from tillbook.ledger.upkeep import Empty

        operation = self.run(Empty(scope, order_key, person, cut, may_go_on), deadline)
        return operation.emptied, operation.through

    def forget(self, scope: Scope, person: str, deadline: float) -> bool:
        """Deletes a person who has no orders and no activities. Returns whether the person no longer exists."""
        from tillbook.ledger.upkeep import Forget

        return self.run(Forget(scope, person), deadline).result

    def rebuild(self, scope: Scope, order_key: str, document_of: DocumentOf, deadline: float) -> bool:
        """Computes an order's head and match keys again from its events. Returns whether anything was written."""
        from tillbook.ledger.upkeep import Rebuild

        return self.run(Rebuild(scope, order_key, document_of), deadline).changed

    def sweep(self, partition: str, may_go_on: Callable[[], bool], deadline: float) -> tuple[int, bool]:
        """Deletes the items of a partition of a purged scope. Returns how many it deleted, and whether none is left."""
        from tillbook.ledger.upkeep import sweep

        return sweep(self, partition, may_go_on, Retries(self.pace, deadline))

"""POST /v1/order/{order_id}: edits an order. A given field is replaced, null clears it, an absent one is unchanged."""

from tillbook.contract import orders_api  # noqa: F401 - builds the models at start, not in the first request
from tillbook.web import orders
from tillbook.web.endpoint import endpoint

handler = endpoint(orders.edit)

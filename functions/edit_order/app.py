"""POST /v1/order/{order_id}: edits an order. Given fields replace, null clears, absent fields are unchanged."""

from tillbook.contract import orders_api  # noqa: F401 - builds the models at start, not in the first request
from tillbook.web import orders
from tillbook.web.endpoint import endpoint

handler = endpoint(orders.edit)

"""POST /v1/order: submits an order."""

from tillbook.contract import orders_api  # noqa: F401 - builds the models at start, not in the first request
from tillbook.web import orders
from tillbook.web.endpoint import endpoint

handler = endpoint(orders.submit)

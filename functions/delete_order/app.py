"""DELETE /v1/order/{order_id}: deletes an order, and subtracts its contribution from lifetime value."""

from tillbook.web import orders
from tillbook.web.endpoint import endpoint

handler = endpoint(orders.delete)

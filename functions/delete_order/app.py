"""DELETE /v1/order/{order_id}: deletes an order, and removes its contribution from LTV."""

from tillbook.web import orders
from tillbook.web.endpoint import endpoint

handler = endpoint(orders.delete)

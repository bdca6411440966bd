"""DELETE /v1/order/{order_id}: the order goes, and its LTV with it."""

from tillbook.web import orders
from tillbook.web.endpoint import endpoint

handler = endpoint(orders.delete)

"""POST /v1/order/{order_id}: given fields replace, null clears, absent fields stay."""

from tillbook.contract import orders_api  # noqa: F401 - the models, made at the start and not by the first request
from tillbook.web import orders
from tillbook.web.endpoint import endpoint

handler = endpoint(orders.edit)

"""POST /v1/order/{order_id}: given fields replace, null clears, absent fields stay."""

from tillbook import orders, orders_api  # noqa: F401 - the checks, read at the start and not by the first request
from tillbook.http import Request, Response, endpoint


@endpoint(role="ingest")
def handler(request: Request) -> Response:
    return orders.edit(request)

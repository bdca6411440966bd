"""POST /v1/order: a shop submits an order."""

from tillbook import orders, orders_api  # noqa: F401 - the checks, read at the start and not by the first request
from tillbook.http import Request, Response, endpoint


@endpoint(role="ingest")
def handler(request: Request) -> Response:
    return orders.submit(request)

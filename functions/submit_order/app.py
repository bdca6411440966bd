"""POST /v1/order: a shop submits an order."""

from tillbook import orders
from tillbook.http import Request, Response, endpoint


@endpoint(role="ingest")
def handler(request: Request) -> Response:
    return orders.submit(request)

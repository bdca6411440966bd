"""DELETE /v1/order/{order_id}: the order goes, and its LTV with it."""

from tillbook import orders
from tillbook.http import Request, Response, endpoint


@endpoint(role="ingest")
def handler(request: Request) -> Response:
    return orders.delete(request)

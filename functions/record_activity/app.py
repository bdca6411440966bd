"""POST /v3/{account_id}/shopper_activity/order and /batch: validated, hashed, queued, 202."""

from tillbook import intake
from tillbook.http import Request, Response, endpoint


@endpoint(role="ingest")
def handler(request: Request) -> Response:
    return intake.accept(request)

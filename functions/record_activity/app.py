"""POST /v3/{account_id}/shopper_activity/order and /batch: validates, hashes and queues events."""

from tillbook.web import intake
from tillbook.web.endpoint import endpoint

handler = endpoint(intake.accept)

"""POST /v3/{account_id}/shopper_activity/order and /batch: validated, hashed, queued, 202."""

from tillbook.web import intake
from tillbook.web.endpoint import endpoint

handler = endpoint(intake.accept)

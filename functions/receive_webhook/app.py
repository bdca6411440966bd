"""POST /connect/{account_id}/{connection}: receives a webhook of a shop's platform, and queues its events."""

from tillbook.web import webhooks

handler = webhooks.receive

"""Configuration by admins: the account's settings, API keys and connections."""

from tillbook.web import configuring
from tillbook.web.endpoint import endpoint

handler = endpoint(configuring.answer)

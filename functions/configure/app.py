"""Serves the routes by which admins configure an account: its settings, API keys and connections."""

from tillbook.web import configuring
from tillbook.web.endpoint import endpoint

handler = endpoint(configuring.answer)

"""Serves operations of admins: rebuilds, purges, erasures, and the replay and discarding of dead letters."""

from tillbook.web import managing
from tillbook.web.endpoint import endpoint

handler = endpoint(managing.start)

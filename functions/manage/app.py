"""Operations by admins: rebuild, purge, erase, replay and discard."""

from tillbook.web import managing
from tillbook.web.endpoint import endpoint

handler = endpoint(managing.start)

"""What an admin sets going: rebuild, purge, erase, replay and discard."""

from tillbook import managing
from tillbook.http import Request, Response, endpoint


@endpoint(role="admin")
def handler(request: Request) -> Response:
    return managing.start(request)

"""What an admin sets going: answered 202 with a job, done page by page through the queue."""

from tillbook import managing
from tillbook.http import Request, Response, endpoint


@endpoint(role="admin")
def handler(request: Request) -> Response:
    return managing.start(request)

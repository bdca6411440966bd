"""Every GET, and the match: orders, people with LTV, timelines, requests, audiences, jobs."""

from tillbook import reading
from tillbook.http import Request, Response, endpoint


@endpoint(role="admin")
def handler(request: Request) -> Response:
    return reading.answer(request)

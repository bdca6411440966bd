"""$default, for requests that match no route: answers 405 for a known path, otherwise 404, in the format of its API."""

from tillbook.web.unknown import handler

__all__ = ["handler"]

"""$default: answers 405 for a known path, otherwise 404, in the form of the API that was addressed."""

from tillbook.web.unknown import handler

__all__ = ["handler"]

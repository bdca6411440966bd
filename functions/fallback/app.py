"""$default: 405 where the path is known, else 404, in the dialect of the API that was addressed."""

from tillbook.web.unknown import handler

__all__ = ["handler"]

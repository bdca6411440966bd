"""GET /openapi.json: the description of every route, which needs no key. Made by openapi/make.py."""

from tillbook.static import serve

handler = serve(__file__, "openapi.json", "application/json")

"""GET /openapi.json: the description of every route, which needs no key. Made by openapi/make.py."""

from pathlib import Path

from tillbook.web.pages import files

handler = files(Path(__file__).parent, index="openapi.json")

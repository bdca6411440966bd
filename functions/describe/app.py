"""GET /openapi.json: the OpenAPI document, which openapi/make.py generates. No key is needed."""

from pathlib import Path

from tillbook.web.pages import files

handler = files(Path(__file__).parent, index="openapi.json")

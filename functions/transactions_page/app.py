"""GET / and GET /page/{file}: serves the Transactions page, which calls the API with its user's key."""

from pathlib import Path

from tillbook.web.pages import files

handler = files(Path(__file__).parent / "page")

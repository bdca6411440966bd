"""GET / and GET /page/{file}: the Transactions page, which reads and manages through the API with its user's key."""

from pathlib import Path

from tillbook.web.pages import files

handler = files(Path(__file__).parent / "page")

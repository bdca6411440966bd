"""The contract: the bodies of both APIs as pydantic models, and what is kept and shown of them."""

"""The contract: the bodies of both APIs as pydantic models, and the forms in which they are stored and shown."""

"""How much of everything the contract takes; apart from the models, so that nothing needs pydantic to know it."""

MAX_ORDER_BYTES = 256 * 1024
MAX_BATCH_BYTES = 4 * 1024 * 1024
MAX_BATCH = 1000  # orders of a batch
MAX_ITEMS = 5000  # of one order
MAX_MATCH = 1000  # people of one match
MAX_LIMIT = 200  # entries of a page
MAX_ERRORS = 1000  # of one answer; with more it would be too large to be sent
MAX_NOTES = 50  # of one request; with more, a list of requests would be too large to be read
MAX_METADATA_KEYS, MAX_METADATA_KEY, MAX_METADATA_VALUE = 10, 40, 200
AHEAD_HOURS = 24  # how far in the future an event may lie

"""Limits of the contract. They are separate from the models, so that code without pydantic can use them."""

MAX_ORDER_BYTES = 256 * 1024
MAX_BATCH_BYTES = 4 * 1024 * 1024
MAX_WEBHOOK_BYTES = 5 * 1024 * 1024  # Lambda accepts 6 MB
MAX_BATCH = 1000  # orders in a batch
MAX_ITEMS = 5000  # items of one order
MAX_MATCH = 1000  # people in one match
MAX_MATCH_ORDERS = 100  # orders of each person in a match
MAX_LIMIT = 200  # entries of a page
PAGE_BYTES = 4 * 1024 * 1024  # size of a page as it is sent, in bytes
MAX_ERRORS = 1000  # errors in one answer; Lambda limits its size
MAX_NOTES = 50  # notes of one request; they bound the size of a list of requests
MAX_METADATA_KEYS = 10
MAX_METADATA_KEY, MAX_METADATA_VALUE = 40, 200  # characters of a key, and of a value
AHEAD_HOURS = 24  # most hours that the time of an event may be in the future

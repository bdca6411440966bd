"""Random histories of the book (records/book.py): `python -m tests.book --histories 20000 --seed 1`.

In a history, orders of both APIs are written through the ledger. Keepers (work/book.py) receive random, repeated,
shuffled and partial batches of the ledger's changes. They are killed at any call, and lose answers of writes, which may
take effect later. Meanwhile reports sum up days; some run out of time. Once all changes are delivered, each report must
equal the sums that the auditor computes from the requests.
"""
